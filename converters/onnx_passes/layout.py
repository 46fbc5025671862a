"""NCHW to NHWC, with a Transpose only where the mathematics needs one."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from converters.onnx_passes.axis_order import Layout, NeededTranspose, natural_order
from converters.onnx_passes.layout_rules import joins, matrices, reshapes, same_order
from converters.onnx_passes.layout_rules.absorb import ARITHMETIC, POINTWISE
from edge.errors import UnsupportedError
from edge.graph.graph import Graph, Operator
from edge.graph.rewrite import fresh_name, rebuild


def to_nhwc(graph: Graph) -> Graph:
    """The same model over NHWC tensors; see `to_nhwc_with_reasons`."""
    return to_nhwc_with_reasons(graph)[0]


def to_nhwc_with_reasons(graph: Graph) -> tuple[Graph, tuple[NeededTranspose, ...]]:
    """Reorder a graph to NHWC and tell every Transpose that it had to insert, with the reason.

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
        layout.declare(name, natural_order(layout.rank(name)))
    for operator in graph.operators:
        if operator.kind not in RULES:
            hint = "; fold it with fold_batch_norm first" if operator.kind == "BatchNorm" else ""
            raise UnsupportedError(f"operator '{operator.name}' ({operator.kind}) has no NHWC form{hint}")
        RULES[operator.kind](layout, operator)
    outputs = tuple(_output(layout, name) for name in graph.outputs)
    result = replace(graph, layout="nhwc", operators=tuple(layout.operators), tensors=layout.tensors, outputs=outputs)
    result = rebuild(result, result.operators)
    left = [operator.name for operator in result.operators if operator.kind == "Transpose"]
    return result, tuple(layout.reasons[name] for name in left)


def _output(layout: Layout, name: str) -> str:
    """The graph output in its natural order and under its own name."""
    if layout.graph.tensors[name].data is not None:
        return name
    ending = Operator(kind="Reshape", name=f"{name}/output", inputs=(), outputs=(), attributes={"shape": ()})
    stored = layout.stored(name, natural_order(layout.rank(name)), ending, "a rank-4 output is NHWC")
    if stored == name or stored in layout.graph.inputs or stored in layout.graph.outputs:
        return stored
    if name in layout.tensors:
        layout.rename(name, fresh_name(f"{name}/stored", layout.tensors))
    layout.rename(stored, name)
    return name


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
