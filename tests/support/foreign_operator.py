"""A TFLite file of one operator that the house does not write by itself, for readers and kernels to be held against."""

from collections.abc import Sequence
from typing import Any

from converters.tflite.file_builder import FileBuilder
from edge.graph.graph import Graph, Operator, Tensor


def foreign_file(
    code: str,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    *,
    version: int = 1,
    options: str = "",
    **fields: Any,
) -> bytes:
    """The file: its inputs are the tensors without values.

    Args:
        code: in the schema's BuiltinOperator.
        inputs, outputs: of the operator, in its order; constants carry their values.
        options: the schema's options table, and its `fields`.
    """
    builder = FileBuilder(
        Graph(
            name=code.lower(),
            layout="nhwc",
            operators=(
                Operator(
                    kind=code,
                    name=code.lower(),
                    inputs=tuple(tensor.name for tensor in inputs),
                    outputs=tuple(tensor.name for tensor in outputs),
                ),
            ),
            tensors={tensor.name: tensor for tensor in (*inputs, *outputs)},
            inputs=tuple(dict.fromkeys(tensor.name for tensor in inputs if tensor.data is None)),
            outputs=tuple(tensor.name for tensor in outputs),
        )
    )
    places = [[builder.tensor(tensor.name) for tensor in tensors] for tensors in (inputs, outputs)]
    builder.operator(code, *places, version=version, options=options, **fields)
    return builder.finish(code)
