"""ReduceSum, ReduceMax, ReduceMin -> SUM, REDUCE_MAX, REDUCE_MIN."""

import numpy as np

from converters.tflite.file_builder import FileBuilder
from converters.tflite.parameters import int8_version, require_same_parameters
from edge.graph.graph import Operator

CODES = {"ReduceSum": "SUM", "ReduceMax": "REDUCE_MAX", "ReduceMin": "REDUCE_MIN"}


def write_reduction(builder: FileBuilder, operator: Operator) -> None:
    """Write one of CODES. Refuses (UnsupportedError) an extreme that would change parameters."""
    if operator.kind != "ReduceSum":
        require_same_parameters(builder.graph, operator)
    axes = builder.constant(operator, "axes", np.array(operator.attributes["axes"], np.int32))
    builder.operator(
        CODES[operator.kind],
        [builder.tensor(operator.inputs[0]), axes],
        [builder.tensor(operator.outputs[0])],
        version=int8_version(builder.graph, operator, int8=2),
        options="ReducerOptions",
        keepDims=bool(operator.attributes["keepdims"]),
    )
