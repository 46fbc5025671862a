"""MatMul of two activations, or of a constant with several matrices -> BATCH_MATMUL."""

from converters.tflite.file_builder import FileBuilder
from converters.tflite.parameters import int8_version
from edge.errors import UnsupportedError
from edge.graph.graph import Operator

LARGEST_RANK = 5


def write_matmul(builder: FileBuilder, operator: Operator) -> None:
    """Write a product of matrices. Refuses (UnsupportedError) operands of several dtypes, uint8, and over 5 axes."""
    graph = builder.graph
    names = (*operator.inputs, *operator.outputs)
    dtypes = {graph.tensors[name].dtype for name in names}
    if len(dtypes) != 1:
        raise UnsupportedError(f"MatMul '{operator.name}': operands of {', '.join(sorted(dtypes))}")
    if "uint8" in dtypes:
        raise UnsupportedError(f"MatMul '{operator.name}': uint8 operands; BATCH_MATMUL has int8 and float kernels")
    ranks = [len(builder.shape(name)) for name in names]
    if min(ranks[:2]) < 2 or max(ranks) > LARGEST_RANK:
        raise UnsupportedError(
            f"MatMul '{operator.name}': operands of {ranks[0]} and {ranks[1]} axes; 2 to 5 are known"
        )
    builder.operator(
        "BATCH_MATMUL",
        [builder.tensor(name) for name in operator.inputs],
        [builder.tensor(operator.outputs[0])],
        version=int8_version(graph, operator, int8=2),
        options="BatchMatMulOptions",
    )
