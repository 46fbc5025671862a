"""What goes into onnx2tf: a float ONNX file of fixed sizes, from a checkpoint or an ONNX file, float or quantized."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from converters.onnx.file import onnx_bytes
from converters.packaging.package import precision_of
from converters.passes.canonical import canonical
from edge.errors import UnsupportedError
from edge.graph.graph import Graph, Tensor
from edge.graph.importers.onnx.parsing.file import open_onnx
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.passes.rewrite import real_values

DROPPED = (
    "the source is quantized and onnx2tf cannot carry its parameters: they were dropped and the weights taken as real "
    "numbers, so nothing here is exact"
)


@dataclass(frozen=True, kw_only=True)
class FloatSource:
    """A float ONNX model for onnx2tf, and what a person should know about it."""

    data: bytes
    notes: tuple[str, ...]


def float_source(path: Path) -> FloatSource:
    """The source of an ONNX file: itself with its batch fixed to 1, or the float form of a quantized one.

    Raises:
        ModelFileError: a file that does not hold.
        UnsupportedError: a quantized model with an operator that this product cannot write as ONNX, by name.
    """
    graph = read_onnx(path, batch=1)
    if precision_of(graph) != "float32":
        try:
            return of_graph(canonical(graph))
        except UnsupportedError as error:
            raise UnsupportedError(
                f"{path} is quantized, which onnx2tf drops; give the float model: {error}"
            ) from error
    return FloatSource(data=_static(path), notes=())


def of_graph(graph: Graph) -> FloatSource:
    """The source of a graph (NCHW): as it is when it is float, else without its quantization."""
    if precision_of(graph) == "float32":
        return FloatSource(data=onnx_bytes(graph), notes=())
    tensors: Mapping[str, Tensor] = {name: _real(tensor) for name, tensor in graph.tensors.items()}
    return FloatSource(data=onnx_bytes(replace(graph, tensors=tensors)), notes=(DROPPED,))


def _real(tensor: Tensor) -> Tensor:
    if tensor.quantization is None:
        return tensor
    data = None if tensor.data is None else real_values(tensor)
    return Tensor(name=tensor.name, shape=tensor.shape, dtype="float32", data=data)


def _static(path: Path) -> bytes:
    """The file's bytes, unknown first dimensions of inputs and outputs set to 1."""
    model = open_onnx(path, batch=1).model
    for value in (*model.graph.input, *model.graph.output):
        first = value.type.tensor_type.shape.dim[:1]
        if first and first[0].WhichOneof("value") != "dim_value":
            first[0].dim_value = 1
    data: bytes = model.SerializeToString(deterministic=True)
    return data
