"""Any model file -> Graph: the format is told by the file's content, an ONNX file (which has no mark) by its name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from edge.errors import ModelFileError, UsageError
from edge.files.bounded_file import check_file
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.parsing.schema import FILE_IDENTIFIER
from edge.graph.importers.tflite.reader import read_tflite

Format = Literal["tflite", "onnx"]


def model_format(path: Path) -> Format:
    """What kind of model file this is. Refuses (ModelFileError) a missing file and one that is neither."""
    check_file(path, error=ModelFileError)
    try:
        with path.open("rb") as handle:
            head = handle.read(8)
    except OSError as error:
        raise ModelFileError(path, f"cannot be read: {error.strerror}") from error
    if head[4:8] == FILE_IDENTIFIER or path.suffix == ".tflite":
        return "tflite"
    if path.suffix == ".onnx":
        return "onnx"
    raise ModelFileError(path, "is neither a TFLite file (TFL3 at byte 4) nor named .onnx")


def read_model(path: Path, *, batch: int | None = None, shapes: Mapping[str, tuple[int, ...]] | None = None) -> Graph:
    """Read a TFLite (nhwc) or ONNX (nchw) file.

    Args:
        batch: what an unknown first dimension of an ONNX file becomes; None refuses it.
        shapes: input name -> its shape, for sizes that an ONNX file leaves open.

    Raises:
        ModelFileError: missing, neither, or damaged.
        UsageError: shapes for a TFLite file, whose sizes are fixed, or that the ONNX file contradicts.
    """
    if model_format(path) == "onnx":
        return read_onnx(path, batch=batch, shapes=shapes)
    if shapes:
        raise UsageError(f"{path}: --input-shape is for ONNX files; a TFLite file's sizes are fixed")
    return read_tflite(path)
