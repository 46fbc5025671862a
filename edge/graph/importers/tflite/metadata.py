"""Reading the metadata of a TFLite file, and the files appended to it, with distrust."""

import io
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import ModelFileError
from edge.graph.importers.tflite.metadata_flatbuffer import decode
from edge.graph.importers.tflite.metadata_schema import ENUMERATIONS, MODEL_IDENTIFIER
from edge.graph.importers.tflite.parsing.accessors import ModelAccessor, model_accessor
from edge.graph.importers.tflite.parsing.file import DAMAGE, load_bytes
from edge.graph.importers.tflite.parsing.schema import FILE_IDENTIFIER, schema

BUFFER_NAME = "TFLITE_METADATA"
SEGMENTER_NAME = "SEGMENTER_METADATA"
LABEL_FILE = "labels.txt"
FILE_TYPES = ENUMERATIONS["AssociatedFileType"]
LABEL_TYPES = (FILE_TYPES["TENSOR_AXIS_LABELS"], FILE_TYPES["TENSOR_VALUE_LABELS"])
MAX_FILES = 64
MAX_FILE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class FileMetadata:
    """What a file says about itself: `model` as in `metadata_schema.TABLES`; the appended files by name."""

    model: dict[str, Any]
    files: dict[str, bytes]

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names of the first label file of an output; none if there is no such file."""
        for tensor in self.tensors("output"):
            for file in tensor.get("associated_files", []):
                content = self.files.get(file.get("name", ""))
                if content is not None and file.get("type") in LABEL_TYPES:
                    lines = content.decode("utf-8", errors="replace").split("\n")
                    return tuple(lines[:-1] if lines[-1] == "" else lines)
        return ()

    def tensors(self, side: str) -> list[dict[str, Any]]:
        """Metadata of the inputs (`input`) or outputs (`output`), in the order of the model."""
        subgraphs = self.model.get("subgraph_metadata", [])
        return list(subgraphs[0].get(f"{side}_tensor_metadata", [])) if subgraphs else []

    @property
    def normalization(self) -> tuple[list[float], list[float]] | None:
        """Mean and std of the first input; None if it has none."""
        for tensor in self.tensors("input")[:1]:
            for unit in tensor.get("process_units", []):
                options = unit.get("options", {}).get("NormalizationOptions")
                if options is not None:
                    return options.get("mean", []), options.get("std", [])
        return None


def read_metadata(source: Path | bytes) -> FileMetadata | None:
    """The metadata of a TFLite file, or None if it carries none.

    Raises:
        ModelFileError: no TFLite file, or metadata that is damaged.
    """
    data, where = load_bytes(source)
    if len(data) < 16 or data[4:8] != FILE_IDENTIFIER:
        raise ModelFileError(where, "not a TFLite file (no TFL3 identifier at byte 4)")
    try:
        found = _buffer(model_accessor(schema(), data))
        if found is None:
            return None
        return FileMetadata(model=decode("ModelMetadata", found, MODEL_IDENTIFIER), files=_files(data))
    except (*DAMAGE, struct.error, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ModelFileError(where, f"damaged TFLite metadata: {error}") from error


def metadata_entry(path: Path) -> dict[str, Any] | None:
    """What a file's metadata says, as one flat record for people and JSON; None without metadata."""
    metadata = read_metadata(path)
    if metadata is None:
        return None
    entry: dict[str, Any] = {"name": metadata.model.get("name", "")}
    if metadata.normalization is not None:
        entry["mean"], entry["std"] = metadata.normalization
    entry["outputs"] = [tensor.get("name", "") for tensor in metadata.tensors("output")]
    entry["files"] = sorted(metadata.files)
    entry["labels"] = list(metadata.labels)
    return entry


def _buffer(root: ModelAccessor) -> bytes | None:
    """The bytes of the buffer that the metadata entry names."""
    count = root.MetadataLength()
    if count > MAX_FILES:
        raise ValueError(f"{count} metadata entries; at most {MAX_FILES} are read")
    for index in range(count):
        entry = root.Metadata(index)
        if entry.Name() == BUFFER_NAME.encode():
            number = entry.Buffer()
            if number >= root.BuffersLength():
                raise ValueError(f"metadata reads buffer {number} of {root.BuffersLength()}")
            buffer = root.Buffers(number)
            return bytes(buffer.DataAsNumpy()) if buffer.DataLength() else b""
    return None


def _files(data: bytes) -> dict[str, bytes]:
    """The files of the zip behind the model; none if there is no zip."""
    whole = io.BytesIO(data)
    if not zipfile.is_zipfile(whole):
        return {}
    with zipfile.ZipFile(whole) as archive:
        entries = archive.infolist()
        if len(entries) > MAX_FILES or sum(entry.file_size for entry in entries) > MAX_FILE_BYTES:
            raise ValueError(f"more than {MAX_FILES} appended files or {MAX_FILE_BYTES} bytes of them")
        files = {}
        for entry in entries:
            with archive.open(entry) as handle:
                files[entry.filename] = handle.read(entry.file_size)
        return files
