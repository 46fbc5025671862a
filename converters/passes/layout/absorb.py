"""Which readers of a flattened tensor do not mind the order of its columns."""

from edge.graph.graph import Graph, Operator

# One value at a time: the columns of the result are in the order of the input's.
POINTWISE = frozenset(
    {
        "Abs",
        "Cast",
        "Ceil",
        "Clip",
        "Cos",
        "Dequantize",
        "Elu",
        "Exp",
        "Floor",
        "Gelu",
        "HardSigmoid",
        "HardSwish",
        "LeakyRelu",
        "Log",
        "Neg",
        "Quantize",
        "Relu",
        "Relu6",
        "Round",
        "Rsqrt",
        "Sigmoid",
        "Sin",
        "Sqrt",
        "Tanh",
    }
)
# Of two operands, one of which may be a constant whose columns are reordered like the other's.
ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div", "Min", "Max", "Pow", "PRelu"})


def columns_are_absorbed(graph: Graph, name: str) -> bool:
    """Whether every path from a rank-2 tensor ends in Gemms whose weight's columns can be reordered.

    On the way: POINTWISE, ARITHMETIC with constants, Concat of the columns. A graph output reads them in order.
    """
    if name in graph.outputs:
        return False
    readers = graph.consumers(name)
    return bool(readers) and all(_absorbs(graph, reader, name) for reader in readers)


def _absorbs(graph: Graph, reader: Operator, name: str) -> bool:
    if reader.kind == "Gemm":
        is_constant = graph.tensors[reader.inputs[1]].data is not None
        return reader.inputs[0] == name and name not in reader.inputs[1:] and is_constant
    output = reader.outputs[0]
    if reader.kind in POINTWISE:
        return columns_are_absorbed(graph, output)
    if reader.kind in ARITHMETIC:
        others = [graph.tensors[other] for other in reader.inputs if other != name]
        return all(other.data is not None for other in others) and columns_are_absorbed(graph, output)
    if reader.kind == "Concat":
        single = reader.inputs.count(name) == 1
        return reader.attributes["axis"] == 1 and single and columns_are_absorbed(graph, output)
    return False
