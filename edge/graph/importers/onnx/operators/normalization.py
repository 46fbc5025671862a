"""Normalization by statistics of the input itself, put together from means, products and a reciprocal root."""

from math import prod

from edge.graph.graph import Tensor
from edge.graph.importers.onnx.operators.arithmetic import scalar
from edge.graph.importers.onnx.operators.elementwise import axis_of
from edge.graph.importers.onnx.operators.reduction import reduced_shape
from edge.graph.importers.onnx.parsing.draft import Draft, Node, NotCanonical

PLAIN = {"activation": "none"}
L2_EPSILON = 1e-12


def lp_normalization(draft: Draft, node: Node) -> None:
    """LpNormalization: x / its 2-norm along an axis is L2Norm, x / its 1-norm a quotient."""
    x = _float(draft, node)
    axis = axis_of(node.attributes.get("axis", -1), len(x.shape))
    if node.attributes.get("p", 2) == 2:
        draft.emit("L2Norm", node, (x.name,), {"axis": axis, "epsilon": L2_EPSILON})
        return
    magnitude = draft.step("Abs", node, (x.name,), {}, x.shape)
    total = _over(draft, node, "ReduceSum", magnitude, x.shape, (axis,))
    draft.emit("Div", node, (x.name, total), PLAIN)


def instance_normalization(draft: Draft, node: Node) -> None:
    """InstanceNormalization: per image and channel over the spatial axes."""
    x = _float(draft, node)
    if len(x.shape) < 3:
        raise NotCanonical("no spatial axes")
    epsilon = float(node.attributes.get("epsilon", 1e-5))
    normal = _normalized(draft, node, x.name, x.shape, tuple(range(2, len(x.shape))), epsilon)
    form = (x.shape[1],) + (1,) * (len(x.shape) - 2)
    factor, offset = (_shaped(draft, node.input(index), form) for index in (1, 2))
    scaled = draft.step("Mul", node, (normal, factor), PLAIN, x.shape)
    draft.emit("Add", node, (scaled, offset), PLAIN)


def layer_normalization(draft: Draft, node: Node) -> None:
    """LayerNormalization over the last axes. Refuses (NotCanonical) its mean and deviation as outputs: training."""
    x = _float(draft, node)
    if len([name for name in node.outputs if name]) > 1:
        raise NotCanonical("mean or deviation as outputs")
    first = axis_of(node.attributes.get("axis", -1), len(x.shape))
    epsilon = float(node.attributes.get("epsilon", 1e-5))
    normal = _normalized(draft, node, x.name, x.shape, tuple(range(first, len(x.shape))), epsilon)
    if not node.input(2):
        draft.emit("Mul", node, (normal, node.input(1)), PLAIN)
        return
    scaled = draft.step("Mul", node, (normal, node.input(1)), PLAIN, x.shape)
    draft.emit("Add", node, (scaled, node.input(2)), PLAIN)


def group_normalization(draft: Draft, node: Node) -> None:
    """GroupNormalization: over the channels of a group and space; factor and offset per group (18) or channel (21)."""
    x = _float(draft, node)
    groups = int(node.attributes.get("num_groups", 0))
    if len(x.shape) < 3 or groups < 1 or x.shape[1] % groups:
        raise NotCanonical("channels that do not divide into groups")
    rows = (x.shape[0], groups, prod(x.shape[1:]) // groups)
    flat = draft.step("Reshape", node, (x.name,), {"shape": rows}, rows)
    normal = _normalized(draft, node, flat, rows, (2,), float(node.attributes.get("epsilon", 1e-5)))
    if draft.opset < 21:
        scaled = draft.step("Mul", node, (normal, _shaped(draft, node.input(1), (groups, 1))), PLAIN, rows)
        moved = draft.step("Add", node, (scaled, _shaped(draft, node.input(2), (groups, 1))), PLAIN, rows)
        draft.emit("Reshape", node, (moved,), {"shape": x.shape})
        return
    back = draft.step("Reshape", node, (normal,), {"shape": x.shape}, x.shape)
    form = (x.shape[1],) + (1,) * (len(x.shape) - 2)
    scaled = draft.step("Mul", node, (back, _shaped(draft, node.input(1), form)), PLAIN, x.shape)
    draft.emit("Add", node, (scaled, _shaped(draft, node.input(2), form)), PLAIN)


def _normalized(draft: Draft, node: Node, x: str, shape: tuple[int, ...], axes: tuple[int, ...], epsilon: float) -> str:
    """(x - mean) * Rsqrt(mean((x - mean)^2) + epsilon)."""
    centred = draft.step("Sub", node, (x, _over(draft, node, "Mean", x, shape, axes)), PLAIN, shape)
    square = draft.step("Mul", node, (centred, centred), PLAIN, shape)
    variance = _over(draft, node, "Mean", square, shape, axes)
    small = reduced_shape(shape, axes, True)
    safe = draft.step("Add", node, (variance, scalar(draft, node, epsilon)), PLAIN, small)
    return draft.step("Mul", node, (centred, draft.step("Rsqrt", node, (safe,), {}, small)), PLAIN, shape)


def _over(draft: Draft, node: Node, kind: str, x: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> str:
    return draft.step(kind, node, (x,), {"axes": axes, "keepdims": True}, reduced_shape(shape, axes, True))


def _shaped(draft: Draft, name: str, shape: tuple[int, ...]) -> str:
    """A float constant in the shape that broadcasts."""
    constant = draft.required_constant(name)
    if constant.data is None or constant.quantization is not None or constant.data.size != prod(shape):
        raise NotCanonical("a factor or offset of another size")
    return draft.add_constant(f"{name}/shaped", constant.data.reshape(shape), fresh=True)


def _float(draft: Draft, node: Node) -> Tensor:
    x = draft.tensor(node.input(0))
    if x.dtype != "float32":
        raise NotCanonical(f"input of {x.dtype}")
    return x
