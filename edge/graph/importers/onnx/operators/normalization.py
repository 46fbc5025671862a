"""Normalization by statistics of the input itself, put together from means, products and a reciprocal root."""

from math import prod

from edge.graph.graph import Tensor
from edge.graph.importers.onnx.operators.arithmetic import scalar
from edge.graph.importers.onnx.operators.elementwise import axis_of
from edge.graph.importers.onnx.operators.reduction import reduced_shape
from edge.graph.importers.onnx.parsing.importer import Importer, Node, NotCanonical

PLAIN = {"activation": "none"}
L2_EPSILON = 1e-12


def lp_normalization(importer: Importer, node: Node) -> None:
    """LpNormalization: x / its 2-norm along an axis is L2Norm, x / its 1-norm a quotient."""
    x = _float(importer, node)
    axis = axis_of(node.attributes.get("axis", -1), len(x.shape))
    if node.attributes.get("p", 2) == 2:
        importer.emit("L2Norm", node, (x.name,), {"axis": axis, "epsilon": L2_EPSILON})
        return
    magnitude = importer.step("Abs", node, (x.name,), {}, x.shape)
    total = _over(importer, node, "ReduceSum", magnitude, x.shape, (axis,))
    importer.emit("Div", node, (x.name, total), PLAIN)


def instance_normalization(importer: Importer, node: Node) -> None:
    """InstanceNormalization: per image and channel over the spatial axes."""
    x = _float(importer, node)
    if len(x.shape) < 3:
        raise NotCanonical("no spatial axes")
    epsilon = float(node.attributes.get("epsilon", 1e-5))
    normal = _normalized(importer, node, x.name, x.shape, tuple(range(2, len(x.shape))), epsilon)
    form = (x.shape[1],) + (1,) * (len(x.shape) - 2)
    factor, offset = (_shaped(importer, node.input(index), form) for index in (1, 2))
    scaled = importer.step("Mul", node, (normal, factor), PLAIN, x.shape)
    importer.emit("Add", node, (scaled, offset), PLAIN)


def layer_normalization(importer: Importer, node: Node) -> None:
    """LayerNormalization over the last axes. Refuses (NotCanonical) its mean and deviation as outputs: training."""
    x = _float(importer, node)
    if len([name for name in node.outputs if name]) > 1:
        raise NotCanonical("mean or deviation as outputs")
    first = axis_of(node.attributes.get("axis", -1), len(x.shape))
    epsilon = float(node.attributes.get("epsilon", 1e-5))
    normal = _normalized(importer, node, x.name, x.shape, tuple(range(first, len(x.shape))), epsilon)
    if not node.input(2):
        importer.emit("Mul", node, (normal, node.input(1)), PLAIN)
        return
    scaled = importer.step("Mul", node, (normal, node.input(1)), PLAIN, x.shape)
    importer.emit("Add", node, (scaled, node.input(2)), PLAIN)


def group_normalization(importer: Importer, node: Node) -> None:
    """GroupNormalization: over the channels of a group and space; factor and offset per group (18) or channel (21)."""
    x = _float(importer, node)
    groups = int(node.attributes.get("num_groups", 0))
    if len(x.shape) < 3 or groups < 1 or x.shape[1] % groups:
        raise NotCanonical("channels that do not divide into groups")
    rows = (x.shape[0], groups, prod(x.shape[1:]) // groups)
    flat = importer.step("Reshape", node, (x.name,), {"shape": rows}, rows)
    normal = _normalized(importer, node, flat, rows, (2,), float(node.attributes.get("epsilon", 1e-5)))
    if importer.opset < 21:
        scaled = importer.step("Mul", node, (normal, _shaped(importer, node.input(1), (groups, 1))), PLAIN, rows)
        moved = importer.step("Add", node, (scaled, _shaped(importer, node.input(2), (groups, 1))), PLAIN, rows)
        importer.emit("Reshape", node, (moved,), {"shape": x.shape})
        return
    back = importer.step("Reshape", node, (normal,), {"shape": x.shape}, x.shape)
    form = (x.shape[1],) + (1,) * (len(x.shape) - 2)
    scaled = importer.step("Mul", node, (back, _shaped(importer, node.input(1), form)), PLAIN, x.shape)
    importer.emit("Add", node, (scaled, _shaped(importer, node.input(2), form)), PLAIN)


def _normalized(
    importer: Importer, node: Node, x: str, shape: tuple[int, ...], axes: tuple[int, ...], epsilon: float
) -> str:
    """(x - mean) * Rsqrt(mean((x - mean)^2) + epsilon)."""
    centred = importer.step("Sub", node, (x, _over(importer, node, "Mean", x, shape, axes)), PLAIN, shape)
    square = importer.step("Mul", node, (centred, centred), PLAIN, shape)
    variance = _over(importer, node, "Mean", square, shape, axes)
    small = reduced_shape(shape, axes, True)
    safe = importer.step("Add", node, (variance, scalar(importer, node, epsilon)), PLAIN, small)
    return importer.step("Mul", node, (centred, importer.step("Rsqrt", node, (safe,), {}, small)), PLAIN, shape)


def _over(importer: Importer, node: Node, kind: str, x: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> str:
    return importer.step(kind, node, (x,), {"axes": axes, "keepdims": True}, reduced_shape(shape, axes, True))


def _shaped(importer: Importer, name: str, shape: tuple[int, ...]) -> str:
    """A float constant in the shape that broadcasts."""
    constant = importer.required_constant(name)
    if constant.data is None or constant.quantization is not None or constant.data.size != prod(shape):
        raise NotCanonical("a factor or offset of another size")
    return importer.add_constant(f"{name}/shaped", constant.data.reshape(shape), fresh=True)


def _float(importer: Importer, node: Node) -> Tensor:
    x = importer.tensor(node.input(0))
    if x.dtype != "float32":
        raise NotCanonical(f"input of {x.dtype}")
    return x
