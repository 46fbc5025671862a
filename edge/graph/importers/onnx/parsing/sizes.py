"""Sizes that an ONNX file leaves open: filled in from the caller, or refused by name."""

from collections.abc import Mapping

from onnx import GraphProto, ValueInfoProto
from onnx.onnx_ml_pb2 import TensorShapeProto

from edge.errors import ModelFileError, UsageError, unknown_name

MAX_DIMENSION = 2**31 - 1


def open_negative_sizes(graph: GraphProto) -> None:
    """Make sizes below zero unknown ones, as ONNX Runtime reads them: exporters write -1 for a size left open."""
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.HasField("dim_value") and dimension.dim_value < 0:
                dimension.Clear()


def is_open(dimension: TensorShapeProto.Dimension) -> bool:
    """Whether a file leaves this size to whoever runs it."""
    return not dimension.HasField("dim_value") or dimension.dim_value < 0


def given_inputs(graph: GraphProto) -> list[ValueInfoProto]:
    """The inputs that somebody has to feed: those without a constant of the same name."""
    constants = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in constants]


def fill_sizes(graph: GraphProto, shapes: Mapping[str, tuple[int, ...]], label: str) -> None:
    """Write the given sizes where an input leaves them open. Refuses (UsageError) other inputs and other sizes."""
    inputs = {value.name: value for value in given_inputs(graph)}
    for name, shape in shapes.items():
        if name not in inputs:
            raise UsageError(f"{label}: {unknown_name('input', name, inputs)}")
        kind = inputs[name].type.tensor_type
        said = "x".join(str(size) for size in shape)
        if not kind.HasField("shape"):
            kind.shape.dim.extend(TensorShapeProto.Dimension() for _ in shape)
        if len(kind.shape.dim) != len(shape):
            raise UsageError(f"{label}: input '{name}' has {len(kind.shape.dim)} axes, --input-shape says {said}")
        for axis, (dimension, size) in enumerate(zip(kind.shape.dim, shape, strict=True)):
            if not is_open(dimension) and dimension.dim_value != size:
                raise UsageError(
                    f"{label}: input '{name}' has size {dimension.dim_value} on axis {axis}, --input-shape says {said}"
                )
            dimension.dim_value = size


def fix_sizes(graph: GraphProto, batch: int | None, label: str) -> None:
    """Make every input's size a number, and drop what the file says about tensors of open sizes.

    Refuses (ModelFileError) an input whose size nobody said.
    """
    for value in given_inputs(graph):
        if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
            raise ModelFileError(label, f"input '{value.name}' has no shape; say it with --input-shape")
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if is_open(dimension):
                if axis or batch is None:
                    hint = "say it with --input-shape" if axis else "give a batch size (--batch) or --input-shape"
                    raise ModelFileError(
                        label,
                        f"input '{value.name}' has an unknown size on axis {axis}; {hint}, or export it with fixed "
                        "sizes",
                    )
                dimension.dim_value = batch
            if not 1 <= dimension.dim_value <= MAX_DIMENSION:
                raise ModelFileError(label, f"input '{value.name}' has size {dimension.dim_value} on axis {axis}")
    fixed = [value for value in graph.value_info if is_static(value)]
    del graph.value_info[:]
    graph.value_info.extend(fixed)
    for value in graph.output:
        if value.type.HasField("tensor_type") and not is_static(value):
            for dimension in value.type.tensor_type.shape.dim:
                if not dimension.HasField("dim_value"):
                    dimension.Clear()


def is_static(value: ValueInfoProto) -> bool:
    """Whether a tensor's shape is stated, every size of it."""
    kind = value.type.tensor_type
    return kind.HasField("shape") and not any(is_open(dimension) for dimension in kind.shape.dim)
