"""Opening an ONNX file with distrust: every declared size is checked before anything is built from it."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto

from edge.artifact.manifest import file_sha256
from edge.errors import ModelFileError
from edge.files.bounded_file import check_file, read_bytes
from edge.graph.importers.onnx.parsing.external import external_path, is_external, load_external
from edge.graph.importers.onnx.parsing.opset import NATIVE_OPSET, OLDEST_OPSET, raise_opset, sort_nodes
from edge.graph.importers.onnx.parsing.sizes import (
    MAX_DIMENSION,
    fill_sizes,
    fix_sizes,
    given_inputs,
    is_open,
    is_static,
    open_negative_sizes,
)

MAX_FILE_BYTES = 2**31 - 1  # what a protocol buffer can be
KNOWS_CONSTANTS = 4  # the first IR version whose constants need not be inputs

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
        opset: version of the default operator set, at least NATIVE_OPSET; an older file was raised to that.
        types: tensor name -> (numpy dtype name, shape), for inputs and every tensor whose shape the file states.
        size_bytes: of the file, the data beside it included.
        notes: what was changed while opening it, one sentence each.
    """

    label: str
    model: ModelProto
    opset: int
    types: Mapping[str, tuple[str, tuple[int, ...]]]
    size_bytes: int
    notes: tuple[str, ...] = ()


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
        ModelFileError: missing, too large, not ONNX, data in files elsewhere, an operator set that is too old or too
            new, sizes that do not fit the file, unknown dimensions, or a graph that the ONNX checker refuses.
    """
    label = "onnx" if isinstance(source, bytes) else str(source)
    data = _read(source, label)
    model = _parsed(data, label)
    if not model.HasField("graph") or not model.graph.output:
        raise ModelFileError(label, "is not an ONNX file, or is cut short: it has no graph with an output")
    for graph in _graphs(model.graph):
        _check_names(graph, label)
    size_bytes = len(data) + load_external(
        (tensor for tensor in _tensors(model.graph, label) if is_external(tensor)),
        folder=None if isinstance(source, bytes) else source.parent,
        label=label,
        item_bytes={element: size for element, (_, size, _) in ELEMENT_TYPES.items()},
        most_bytes=MAX_FILE_BYTES,
    )
    for tensor in _tensors(model.graph, label):
        _check_tensor(tensor, label)
    if model.functions:
        raise ModelFileError(
            label, f"holds model-local functions ({model.functions[0].name}); inline them with onnx.inliner first"
        )
    opset = _opset(model, label)
    open_negative_sizes(model.graph)
    fill_sizes(model.graph, shapes or {}, label)
    fix_sizes(model.graph, batch, label)
    shapeless = {value.name for value in model.graph.output if not value.type.tensor_type.HasField("shape")}
    _prepare_check(model)
    _check(model, label)
    notes: tuple[str, ...] = ()
    if opset < NATIVE_OPSET:
        model = raise_opset(model, opset, label)
        _check(model, label)
        notes = (f"converted from operator set {opset} to {NATIVE_OPSET} by onnx {onnx.__version__}",)
    return OnnxFile(
        label=label,
        model=model,
        opset=max(opset, NATIVE_OPSET),
        types=_types(model.graph, label, shapeless),
        size_bytes=size_bytes,
        notes=notes,
    )


def open_inputs(source: Path | bytes) -> tuple[str, ...]:
    """Names of the inputs whose sizes, the first aside, the file leaves open.

    Raises:
        ModelFileError: missing, too large or not ONNX.
    """
    label = "onnx" if isinstance(source, bytes) else str(source)
    model = _parsed(_read(source, label), label)
    return tuple(
        value.name
        for value in given_inputs(model.graph)
        if any(is_open(size) for size in value.type.tensor_type.shape.dim[1:])
    )


def model_sha256(path: Path) -> str:
    """SHA-256 of an ONNX model: of the file, or of the list of hashes where it keeps constants in files beside it.

    Raises:
        ModelFileError: as of `open_onnx`.
    """
    places = external_files(path)
    if not places:
        return file_sha256(path)
    for place in places.values():
        check_file(place, what="external data file", error=ModelFileError)
    lines = [file_sha256(path), *(f"{file_sha256(place)}  {name}" for name, place in sorted(places.items()))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def external_files(path: Path) -> dict[str, Path]:
    """The files beside an ONNX file that it keeps constants in, by the names that it has for them.

    Raises:
        ModelFileError: as of `open_onnx`; a file that is not there is not looked for.
    """
    label = str(path)
    model = _parsed(_read(path, label), label)
    return {
        entry.value: external_path(path.parent, entry.value, label=label, tensor=tensor.name)
        for tensor in _tensors(model.graph, label)
        if is_external(tensor)
        for entry in tensor.external_data
        if entry.key == "location"
    }


def _prepare_check(model: ModelProto) -> None:
    """Take out of the checker's way what ONNX Runtime takes too: order, older constants, outputs without a shape."""
    if 0 < model.ir_version < KNOWS_CONSTANTS:
        model.ir_version = KNOWS_CONSTANTS
    for entry in (*model.opset_import, *model.graph.node):
        if entry.domain == "ai.onnx":
            entry.domain = ""
    sort_nodes(model.graph)
    for value in model.graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.shape.SetInParent()


def _check(model: ModelProto, label: str) -> None:
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # the C++ checker throws several unrelated types
        raise ModelFileError(label, f"is refused by the ONNX checker: {str(error)[:300]}") from error


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
        data = read_bytes(source, most_bytes=MAX_FILE_BYTES, what="ONNX file", error=ModelFileError)
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


def _tensors(graph: GraphProto, label: str) -> list[TensorProto]:
    """Every constant, those of nested graphs included. Refuses (ModelFileError) sparse ones."""
    found: list[TensorProto] = []
    for part in _graphs(graph):
        if part.sparse_initializer:
            raise ModelFileError(label, "holds sparse constants; write them dense")
        found += part.initializer
        for node in part.node:
            for attribute in node.attribute:
                if attribute.type == AttributeProto.SPARSE_TENSOR or attribute.HasField("sparse_tensor"):
                    raise ModelFileError(label, f"node '{node.name}' holds a sparse constant; write it dense")
                if attribute.HasField("t"):
                    found.append(attribute.t)
                found += attribute.tensors
    return found


def _check_tensor(tensor: TensorProto, label: str) -> None:
    """Refuse a constant whose declared size is not what the file holds."""
    name = tensor.name or "constant"
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
            f"uses operator set {versions[0]}; supported are {OLDEST_OPSET} to {newest}; export it again",
        )
    return int(versions[0])


def _types(graph: GraphProto, label: str, shapeless: Collection[str]) -> dict[str, tuple[str, tuple[int, ...]]]:
    types: dict[str, tuple[str, tuple[int, ...]]] = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        if value.name in shapeless or not is_static(value):
            continue
        shape = tuple(dimension.dim_value for dimension in kind.shape.dim)
        if any(not 0 <= size <= MAX_DIMENSION for size in shape) or len(shape) > 8:
            raise ModelFileError(label, f"tensor '{value.name}' has the impossible shape {shape}")
        if kind.elem_type in ELEMENT_TYPES:
            types[value.name] = (ELEMENT_TYPES[kind.elem_type][0], shape)
    return types
