"""What an ONNX file stores as integers, which reading makes real numbers of where no activation has a scale."""

from collections.abc import Mapping
from pathlib import Path

from edge.graph.importers.onnx.parsing.file import open_onnx


def stored_as_integers(source: Path, shapes: Mapping[str, tuple[int, ...]] | None = None) -> tuple[str, ...]:
    """Constants of two axes and more that a DequantizeLinear makes real numbers of, by name, in the file's order.

    Raises:
        ModelFileError: a damaged file.
    """
    graph = open_onnx(source, batch=1, shapes=shapes).model.graph
    axes = {constant.name: len(constant.dims) for constant in graph.initializer}
    read = {node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    return tuple(name for name, count in axes.items() if name in read and count > 1)
