"""NCHW to NHWC, with a Transpose only where the mathematics needs one."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from converters.passes.layout import joins, matrices, reshapes, same_order
from converters.passes.layout.absorb import ARITHMETIC, POINTWISE
from converters.passes.layout.axis_order import TO_NHWC, Layout, NeededTranspose, Perm, natural_order
from edge.errors import UnsupportedError
from edge.graph.graph import Graph, Operator
from edge.graph.importers.onnx.parsing.importer import NOT_CANONICAL
from edge.graph.passes.rewrite import constant_like, rebuild


def to_nhwc(graph: Graph, *, keep_nchw_io: bool = False) -> Graph:
    """The same model over NHWC tensors; see `to_nhwc_with_reasons`."""
    return to_nhwc_with_reasons(graph, keep_nchw_io=keep_nchw_io)[0]


def to_nhwc_with_reasons(graph: Graph, *, keep_nchw_io: bool = False) -> tuple[Graph, tuple[NeededTranspose, ...]]:
    """Reorder a graph to NHWC and tell every Transpose that it had to insert, with the reason.

    Args:
        keep_nchw_io: rank-4 inputs and outputs stay NCHW; a Transpose at the boundary where the inside needs NHWC.

    Requires: an NCHW graph of canonical operators.
    Ensures: the same values and parameters; rank-4 inputs and outputs are NHWC, other ranks unchanged; weights stay
    (O, I, ...). Names are kept; a constant that is stored otherwise becomes `NAME/nhwc`. A Flatten before Gemm moves
    into the order of the weight's columns; a Transpose of the source that only undoes or makes NHWC vanishes.

    Raises:
        UnsupportedError: an operator without a rule, by name.
    """
    if graph.layout != "nchw":
        raise UnsupportedError(f"graph '{graph.name}' is {graph.layout} already")
    layout = Layout(graph=graph, tensors={n: t for n, t in graph.tensors.items() if t.data is not None})
    for name in graph.inputs:
        layout.declare(name, _boundary_order(layout.rank(name), keep_nchw_io))
        if keep_nchw_io and layout.rank(name) == 4:
            boundary = Operator(kind="Reshape", name=name, inputs=(), outputs=(), attributes={"shape": ()})
            layout.stored(name, TO_NHWC, boundary, "the input stays NCHW")
    for operator in graph.operators:
        if operator.kind not in RULES:
            reason = operator.attributes.get(NOT_CANONICAL, "")
            hint = (
                "; fold it with fold_batch_norm first" if operator.kind == "BatchNorm" else f": {reason}" * bool(reason)
            )
            raise UnsupportedError(f"operator '{operator.name}' ({operator.kind}) has no NHWC form{hint}")
        RULES[operator.kind](layout, operator)
    _name_outputs(layout, keep_nchw_io)
    result = replace(graph, layout="nhwc", operators=tuple(layout.operators), tensors=layout.tensors)
    result = rebuild(result, result.operators)
    left = [operator.name for operator in result.operators if operator.kind == "Transpose"]
    return result, tuple(layout.reasons[name] for name in left)


def _boundary_order(rank: int, keep_nchw_io: bool) -> Perm:
    return tuple(range(rank)) if keep_nchw_io else natural_order(rank)


def _name_outputs(layout: Layout, keep_nchw_io: bool) -> None:
    """Store every graph output in the boundary's order and under its own name.

    A tensor that is an input, or another output too, is copied by a Reshape to its own shape. No operator reads a
    constant output (see `edge.graph.importers.onnx.signature`).
    """
    for name in layout.graph.outputs:
        constant = layout.graph.tensors[name]
        if constant.data is not None and len(constant.shape) == 4 and not keep_nchw_io:
            layout.tensors[name] = constant_like(constant, name, constant.data.transpose(TO_NHWC))
    names = [name for name in dict.fromkeys(layout.graph.outputs) if layout.graph.tensors[name].data is None]
    reason = "the output stays NCHW" if keep_nchw_io else "a rank-4 output is NHWC"
    held: dict[str, str] = {}
    for name in names:
        ending = Operator(kind="Reshape", name=f"{name}/output", inputs=(), outputs=(), attributes={"shape": ()})
        held[name] = layout.stored(name, _boundary_order(layout.rank(name), keep_nchw_io), ending, reason)
    for name in names:
        stored = held[name]
        if stored == name:
            continue
        if name in layout.tensors:
            other = layout.fresh_name(f"{name}/stored")
            layout.rename(name, other)
            held = {key: other if value == name else value for key, value in held.items()}
        shared = list(held.values()).count(stored) > 1 or stored in names
        if shared or stored in layout.graph.inputs:
            tensor = layout.tensors[stored]
            layout.tensors[name] = replace(tensor, name=name)
            layout.append_move("Reshape", f"{name}/output", stored, name, {"shape": tensor.shape})
        else:
            layout.rename(stored, name)
        held[name] = name


RULES: Mapping[str, Callable[[Layout, Operator], None]] = MappingProxyType(
    {
        **dict.fromkeys(("Conv", "ConvTranspose", "AveragePool", "MaxPool", "Resize"), same_order.spatial),
        **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), same_order.spatial),
        **dict.fromkeys(POINTWISE, same_order.pointwise),
        **dict.fromkeys(("Pad", "ReflectPad", "Slice", "Tile"), same_order.same_shape),
        **dict.fromkeys(("Softmax", "LogSoftmax", "L2Norm"), same_order.last_axis),
        **dict.fromkeys(("Mean", "ReduceSum", "ReduceMax", "ReduceMin", "ArgMax"), same_order.reduce),
        **dict.fromkeys(ARITHMETIC, joins.joined),
        "Concat": joins.joined,
        "Expand": joins.expand,
        "Gather": same_order.gather,
        "Gemm": matrices.gemm,
        "MatMul": matrices.matmul,
        "Reshape": reshapes.reshape,
        "Transpose": same_order.transpose,
    }
)
