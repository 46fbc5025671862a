"""Opening an ONNX file with distrust: every declared size is checked before anything is built from it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto, ValueInfoProto

from edge.errors import ModelFileError, UsageError, unknown_name

MAX_FILE_BYTES = 2**31 - 1  # what a protocol buffer can be
MAX_DIMENSION = 2**31 - 1
OLDEST_OPSET = 13

# element type -> (numpy name, bytes per element, the field that holds it when raw_data does not)
ELEMENT_TYPES: Mapping[int, tuple[str, int, str]] = {
    TensorProto.FLOAT: ("float32", 4, "float_data"),
    TensorProto.DOUBLE: ("float64", 8, "double_data"),
    TensorProto.FLOAT16: ("float16", 2, "int32_data"),
    TensorProto.INT8: ("int8", 1, "int32_data"),
    TensorProto.UINT8: ("uint8", 1, "int32_data"),
    TensorProto.INT16: ("int16", 2, "int32_data"),
    TensorProto.UINT16: ("uint16", 2, "int32_data"),
    TensorProto.INT32: ("int32", 4, "int32_data"),
    TensorProto.INT64: ("int64", 8, "int64_data"),
    TensorProto.BOOL: ("bool", 1, "int32_data"),
}
ELEMENT_OF: Mapping[str, int] = {name: element for element, (name, _, _) in ELEMENT_TYPES.items()}


@dataclass(frozen=True, kw_only=True)
class OnnxFile:
    """A checked model.

    Attributes:
        label: the path, or `onnx` for bytes; opens every message.
        opset: version of the default operator set, at least 13.
        types: tensor name -> (numpy dtype name, shape), for inputs and every tensor whose shape the file states.
        size_bytes: of the file.
    """

    label: str
    model: ModelProto
    opset: int
    types: Mapping[str, tuple[str, tuple[int, ...]]]
    size_bytes: int


def open_onnx(
    source: Path | bytes, *, batch: int | None = None, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> OnnxFile:
    """Parse and check an ONNX model.

    Args:
        source: a path, or the file's bytes.
        batch: what an unknown first dimension of an input becomes; None refuses unknown dimensions.
        shapes: input name -> its shape, for sizes that the file leaves open.

    Raises:
        UsageError: a shape for an input that the model does not have, or that contradicts the sizes in the file.
        ModelFileError: missing, too large, not ONNX, external data, an operator set that is too old or too new,
            sizes that do not fit the file, unknown dimensions, or a graph that the ONNX checker refuses.
    """
    label = "onnx" if isinstance(source, bytes) else str(source)
    data = _read(source, label)
    model = _parsed(data, label)
    if not model.HasField("graph") or not model.graph.output:
        raise ModelFileError(label, "is not an ONNX file, or is cut short: it has no graph with an output")
    for graph in _graphs(model.graph):
        _check_names(graph, label)
        _check_tensors(graph, label)
    if model.functions:
        raise ModelFileError(
            label, f"holds model-local functions ({model.functions[0].name}); inline them with onnx.inliner first"
        )
    opset = _opset(model, label)
    _fill_shapes(model.graph, shapes or {}, label)
    _fix_shapes(model.graph, batch, label)
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # the C++ checker throws several unrelated types
        raise ModelFileError(label, f"is refused by the ONNX checker: {str(error)[:300]}") from error
    return OnnxFile(label=label, model=model, opset=opset, types=_types(model.graph, label), size_bytes=len(data))


def open_inputs(source: Path | bytes) -> tuple[str, ...]:
    """Names of the inputs whose sizes, the first aside, the file leaves open.

    Raises:
        ModelFileError: missing, too large or not ONNX.
    """
    label = "onnx" if isinstance(source, bytes) else str(source)
    model = _parsed(_read(source, label), label)
    constants = {tensor.name for tensor in model.graph.initializer}
    return tuple(
        value.name
        for value in model.graph.input
        if value.name not in constants
        and any(not size.HasField("dim_value") for size in value.type.tensor_type.shape.dim[1:])
    )


def _parsed(data: bytes, label: str) -> ModelProto:
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # protobuf's own error type differs between its implementations
        raise ModelFileError(label, f"is not an ONNX file: {error}") from error
    return model


def _read(source: Path | bytes, label: str) -> bytes:
    if isinstance(source, bytes):
        data = source
    else:
        try:
            if source.stat().st_size > MAX_FILE_BYTES:
                raise ModelFileError(label, f"{source.stat().st_size} bytes; an ONNX file has at most {MAX_FILE_BYTES}")
            data = source.read_bytes()
        except OSError as error:
            raise ModelFileError(label, f"cannot be read: {error.strerror}") from error
    if not data:
        raise ModelFileError(label, "is empty")
    return data


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """The graph and every graph nested in an attribute."""
    waiting = [graph]
    while waiting:
        current = waiting.pop()
        yield current
        for node in current.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    waiting.append(attribute.g)
                waiting.extend(attribute.graphs)


def _check_names(graph: GraphProto, label: str) -> None:
    """Refuse names that are not UTF-8 text."""
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    names = [graph.name, *(value.name for value in values)]
    for node in graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output]
        names += [attribute.name for attribute in node.attribute]
    for name in names:
        try:
            if isinstance(name, str) and name.encode():
                continue
        except UnicodeEncodeError as error:
            raise ModelFileError(label, f"holds a name that is not UTF-8 text: {name!r}") from error
        if not isinstance(name, str):
            raise ModelFileError(label, f"holds a name that is not UTF-8 text: {name!r}")


def _check_tensors(graph: GraphProto, label: str) -> None:
    """Refuse external data, sparse constants and a constant whose declared size is not what the file holds."""
    if graph.sparse_initializer:
        raise ModelFileError(label, "holds sparse constants; write them dense")
    tensors = list(graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.SPARSE_TENSOR or attribute.HasField("sparse_tensor"):
                raise ModelFileError(label, f"node '{node.name}' holds a sparse constant; write it dense")
            if attribute.HasField("t"):
                tensors.append(attribute.t)
            tensors.extend(attribute.tensors)
    for tensor in tensors:
        _check_tensor(tensor, label)


def _check_tensor(tensor: TensorProto, label: str) -> None:
    name = tensor.name or "constant"
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        where = next((entry.value for entry in tensor.external_data if entry.key == "location"), "another file")
        raise ModelFileError(label, f"keeps '{name}' in {where}; save the model as one file, without external data")
    if tensor.data_type not in ELEMENT_TYPES:
        raise ModelFileError(label, f"constant '{name}' has element type {_type_name(tensor.data_type)}, not supported")
    _, item_bytes, field = ELEMENT_TYPES[tensor.data_type]
    if any(not 0 <= size <= MAX_DIMENSION for size in tensor.dims):
        raise ModelFileError(label, f"constant '{name}' has the impossible shape {tuple(tensor.dims)}")
    elements = prod(tensor.dims)
    if tensor.HasField("raw_data"):
        held, unit = len(tensor.raw_data), item_bytes
    else:
        held, unit = len(getattr(tensor, field)), 1
    if elements * unit != held:
        raise ModelFileError(label, f"constant '{name}' of shape {tuple(tensor.dims)} does not fit the data it holds")


def _type_name(element: int) -> str:
    return str(TensorProto.DataType.Name(element)) if element in TensorProto.DataType.values() else str(element)


def _opset(model: ModelProto, label: str) -> int:
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    newest = onnx.defs.onnx_opset_version()
    if not versions:
        raise ModelFileError(label, "names no operator set version")
    if not OLDEST_OPSET <= versions[0] <= newest:
        raise ModelFileError(
            label,
            f"uses operator set {versions[0]}; supported are {OLDEST_OPSET} to {newest}"
            " (onnx.version_converter changes it)",
        )
    return int(versions[0])


def _fill_shapes(graph: GraphProto, shapes: Mapping[str, tuple[int, ...]], label: str) -> None:
    """Write the given sizes where an input leaves them open."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = {value.name: value for value in graph.input if value.name not in constants}
    for name, shape in shapes.items():
        if name not in inputs:
            raise UsageError(f"{label}: {unknown_name('input', name, inputs)}")
        dimensions = inputs[name].type.tensor_type.shape.dim
        said = "x".join(str(size) for size in shape)
        if len(dimensions) != len(shape):
            raise UsageError(f"{label}: input '{name}' has {len(dimensions)} axes, --input-shape says {said}")
        for axis, (dimension, size) in enumerate(zip(dimensions, shape, strict=True)):
            if dimension.HasField("dim_value") and dimension.dim_value != size:
                raise UsageError(
                    f"{label}: input '{name}' has size {dimension.dim_value} on axis {axis}, --input-shape says {said}"
                )
            dimension.dim_value = size


def _fix_shapes(graph: GraphProto, batch: int | None, label: str) -> None:
    """Make the batch static; drop intermediate shapes that are not static."""
    constants = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        if value.name in constants:
            continue
        if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
            raise ModelFileError(label, f"input '{value.name}' has no shape")
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if dimension.HasField("dim_value"):
                if not 1 <= dimension.dim_value <= MAX_DIMENSION:
                    raise ModelFileError(label, f"input '{value.name}' has size {dimension.dim_value} on axis {axis}")
                continue
            if axis or batch is None:
                hint = (
                    "say it with --input-shape, or export it with fixed sizes"
                    if axis
                    else "give a batch size, or export it with a fixed one"
                )
                raise ModelFileError(label, f"input '{value.name}' has an unknown size on axis {axis}; {hint}")
            dimension.dim_value = batch
    fixed = [value for value in graph.value_info if _is_static(value)]
    del graph.value_info[:]
    graph.value_info.extend(fixed)
    for value in graph.output:
        if value.type.HasField("tensor_type") and not _is_static(value):
            for dimension in value.type.tensor_type.shape.dim:
                if not dimension.HasField("dim_value"):
                    dimension.Clear()


def _is_static(value: ValueInfoProto) -> bool:
    return all(dimension.HasField("dim_value") for dimension in value.type.tensor_type.shape.dim)


def _types(graph: GraphProto, label: str) -> dict[str, tuple[str, tuple[int, ...]]]:
    types: dict[str, tuple[str, tuple[int, ...]]] = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        if not value.type.HasField("tensor_type") or not kind.HasField("shape") or not _is_static(value):
            continue
        shape = tuple(dimension.dim_value for dimension in kind.shape.dim)
        if any(not 0 <= size <= MAX_DIMENSION for size in shape) or len(shape) > 8:
            raise ModelFileError(label, f"tensor '{value.name}' has the impossible shape {shape}")
        if kind.elem_type in ELEMENT_TYPES:
            types[value.name] = (ELEMENT_TYPES[kind.elem_type][0], shape)
    return types
