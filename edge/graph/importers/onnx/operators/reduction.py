"""Reductions over axes: mean, sum, largest, smallest, and the norms that are made of them."""

from edge.graph.graph import Tensor
from edge.graph.importers.onnx.operators.arithmetic import require_reals
from edge.graph.importers.onnx.operators.elementwise import axis_of
from edge.graph.importers.onnx.parsing.importer import Importer, Node, NotCanonical

KINDS = {"ReduceMean": "Mean", "ReduceSum": "ReduceSum", "ReduceMax": "ReduceMax", "ReduceMin": "ReduceMin"}
PLAIN = {"activation": "none"}


def reduce(importer: Importer, node: Node) -> None:
    """ReduceMean, ReduceSum, ReduceMax, ReduceMin; axes as attribute or, in later operator sets, as input."""
    x, axes, keepdims = _reduced(importer, node)
    if not axes:
        importer.alias(node.outputs[0], x.name)
        return
    importer.emit(KINDS[node.kind], node, (x.name,), {"axes": axes, "keepdims": keepdims})


def global_max_pool(importer: Importer, node: Node) -> None:
    """The largest value over the spatial axes, which stay."""
    x = importer.tensor(node.input(0))
    require_reals([x])
    importer.emit("ReduceMax", node, (x.name,), {"axes": tuple(range(2, len(x.shape))), "keepdims": True})


def reduce_l1(importer: Importer, node: Node) -> None:
    """Sum of magnitudes."""
    x, axes, keepdims = _reduced(importer, node)
    magnitude = importer.step("Abs", node, (x.name,), {}, x.shape)
    _sum(importer, node, magnitude, axes, keepdims)


def reduce_sum_square(importer: Importer, node: Node) -> None:
    """Sum of squares."""
    x, axes, keepdims = _reduced(importer, node)
    _sum(importer, node, importer.step("Mul", node, (x.name, x.name), PLAIN, x.shape), axes, keepdims)


def reduce_l2(importer: Importer, node: Node) -> None:
    """Square root of the sum of squares."""
    x, axes, keepdims = _reduced(importer, node)
    square = importer.step("Mul", node, (x.name, x.name), PLAIN, x.shape)
    importer.emit("Sqrt", node, (_partial(importer, node, "ReduceSum", square, x.shape, axes, keepdims),), {})


def reduce_log_sum(importer: Importer, node: Node) -> None:
    """Logarithm of the sum."""
    x, axes, keepdims = _reduced(importer, node)
    importer.emit("Log", node, (_partial(importer, node, "ReduceSum", x.name, x.shape, axes, keepdims),), {})


def reduce_log_sum_exp(importer: Importer, node: Node) -> None:
    """Largest + Log(Sum(Exp(x - largest))), which no x overflows."""
    x, axes, keepdims = _reduced(importer, node)
    if not axes:
        importer.alias(node.outputs[0], x.name)
        return
    largest = _partial(importer, node, "ReduceMax", x.name, x.shape, axes, True)
    below = importer.step("Sub", node, (x.name, largest), PLAIN, x.shape)
    part = importer.step("Exp", node, (below,), {}, x.shape)
    total = _partial(importer, node, "ReduceSum", part, x.shape, axes, keepdims)
    shape = reduced_shape(x.shape, axes, keepdims)
    if not keepdims:
        largest = importer.step("Reshape", node, (largest,), {"shape": shape}, shape)
    importer.emit("Add", node, (importer.step("Log", node, (total,), {}, shape), largest), PLAIN)


def reduced_shape(shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool) -> tuple[int, ...]:
    """The shape that is left."""
    if keepdims:
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _reduced(importer: Importer, node: Node) -> tuple[Tensor, tuple[int, ...], bool]:
    x = importer.tensor(node.input(0))
    require_reals([x])
    axes = importer.integers(node.input(1)) if node.input(1) else tuple(node.attributes.get("axes", ()))
    if not axes and not node.attributes.get("noop_with_empty_axes", 0):
        axes = tuple(range(len(x.shape)))
    if not axes and node.kind not in KINDS and node.kind != "ReduceLogSumExp":
        raise NotCanonical("no axes")
    rank = len(x.shape)
    return x, tuple(sorted({axis_of(axis, rank) for axis in axes})), node.attributes.get("keepdims", 1) == 1


def _partial(
    importer: Importer, node: Node, kind: str, name: str, shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool
) -> str:
    attributes = {"axes": axes, "keepdims": keepdims}
    return importer.step(kind, node, (name,), attributes, reduced_shape(shape, axes, keepdims))


def _sum(importer: Importer, node: Node, name: str, axes: tuple[int, ...], keepdims: bool) -> None:
    importer.emit("ReduceSum", node, (name,), {"axes": axes, "keepdims": keepdims})
