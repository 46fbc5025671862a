"""Reductions over axes: mean, sum, largest, smallest, and the norms that are made of them."""

from edge.graph.graph import Tensor
from edge.graph.importers.onnx.operators.arithmetic import require_reals
from edge.graph.importers.onnx.operators.elementwise import axis_of
from edge.graph.importers.onnx.parsing.draft import Draft, Node, NotCanonical

KINDS = {"ReduceMean": "Mean", "ReduceSum": "ReduceSum", "ReduceMax": "ReduceMax", "ReduceMin": "ReduceMin"}
PLAIN = {"activation": "none"}


def reduce(draft: Draft, node: Node) -> None:
    """ReduceMean, ReduceSum, ReduceMax, ReduceMin; axes as attribute or, in later operator sets, as input."""
    x, axes, keepdims = _reduced(draft, node)
    if not axes:
        draft.alias(node.outputs[0], x.name)
        return
    draft.emit(KINDS[node.kind], node, (x.name,), {"axes": axes, "keepdims": keepdims})


def global_max_pool(draft: Draft, node: Node) -> None:
    """The largest value over the spatial axes, which stay."""
    x = draft.tensor(node.input(0))
    require_reals([x])
    draft.emit("ReduceMax", node, (x.name,), {"axes": tuple(range(2, len(x.shape))), "keepdims": True})


def reduce_l1(draft: Draft, node: Node) -> None:
    """Sum of magnitudes."""
    x, axes, keepdims = _reduced(draft, node)
    magnitude = draft.step("Abs", node, (x.name,), {}, x.shape)
    _sum(draft, node, magnitude, axes, keepdims)


def reduce_sum_square(draft: Draft, node: Node) -> None:
    """Sum of squares."""
    x, axes, keepdims = _reduced(draft, node)
    _sum(draft, node, draft.step("Mul", node, (x.name, x.name), PLAIN, x.shape), axes, keepdims)


def reduce_l2(draft: Draft, node: Node) -> None:
    """Square root of the sum of squares."""
    x, axes, keepdims = _reduced(draft, node)
    square = draft.step("Mul", node, (x.name, x.name), PLAIN, x.shape)
    draft.emit("Sqrt", node, (_partial(draft, node, "ReduceSum", square, x.shape, axes, keepdims),), {})


def reduce_log_sum(draft: Draft, node: Node) -> None:
    """Logarithm of the sum."""
    x, axes, keepdims = _reduced(draft, node)
    draft.emit("Log", node, (_partial(draft, node, "ReduceSum", x.name, x.shape, axes, keepdims),), {})


def reduce_log_sum_exp(draft: Draft, node: Node) -> None:
    """Largest + Log(Sum(Exp(x - largest))), which no x overflows."""
    x, axes, keepdims = _reduced(draft, node)
    if not axes:
        draft.alias(node.outputs[0], x.name)
        return
    largest = _partial(draft, node, "ReduceMax", x.name, x.shape, axes, True)
    below = draft.step("Sub", node, (x.name, largest), PLAIN, x.shape)
    part = draft.step("Exp", node, (below,), {}, x.shape)
    total = _partial(draft, node, "ReduceSum", part, x.shape, axes, keepdims)
    shape = reduced_shape(x.shape, axes, keepdims)
    if not keepdims:
        largest = draft.step("Reshape", node, (largest,), {"shape": shape}, shape)
    draft.emit("Add", node, (draft.step("Log", node, (total,), {}, shape), largest), PLAIN)


def reduced_shape(shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool) -> tuple[int, ...]:
    """The shape that is left."""
    if keepdims:
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _reduced(draft: Draft, node: Node) -> tuple[Tensor, tuple[int, ...], bool]:
    x = draft.tensor(node.input(0))
    require_reals([x])
    axes = draft.integers(node.input(1)) if node.input(1) else tuple(node.attributes.get("axes", ()))
    if not axes and not node.attributes.get("noop_with_empty_axes", 0):
        axes = tuple(range(len(x.shape)))
    if not axes and node.kind not in KINDS and node.kind != "ReduceLogSumExp":
        raise NotCanonical("no axes")
    rank = len(x.shape)
    return x, tuple(sorted({axis_of(axis, rank) for axis in axes})), node.attributes.get("keepdims", 1) == 1


def _partial(
    draft: Draft, node: Node, kind: str, name: str, shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool
) -> str:
    attributes = {"axes": axes, "keepdims": keepdims}
    return draft.step(kind, node, (name,), attributes, reduced_shape(shape, axes, keepdims))


def _sum(draft: Draft, node: Node, name: str, axes: tuple[int, ...], keepdims: bool) -> None:
    draft.emit("ReduceSum", node, (name,), {"axes": axes, "keepdims": keepdims})
