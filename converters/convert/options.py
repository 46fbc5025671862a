"""What is asked of a conversion: one object from the command line to the reader and the writer."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from converters.convert.calibration import Calibration
from converters.packaging.stored_weights import Form
from edge.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """Everything but the source and where to write. Who takes them refuses (UsageError) what it cannot do.

    Attributes:
        head: what a segmenter ends in; None takes the checkpoint's recipe, or leaves an ONNX file as it is.
        card: needed for an ONNX file that becomes an artifact, refused for a checkpoint, which says all that it could.
        name: in the manifest; None takes the folder's name.
        allow_float: kinds, source names or operator names that may stay in float in an integer file.
        calibration: images for the ranges that a foreign quantized file leaves open, or that a QAT checkpoint lost by
            `input_size_hw`; onnx2tf quantizes by them.
        io: `uint8`: pixels in and uint8 out in an INT8 TFLite file, see `uint8_boundaries`.
        keep_nchw_io: the TFLite file's rank-4 inputs and outputs stay NCHW, a TRANSPOSE at each.
        batch: of a TFLite file alone; None keeps the source's, 1 where it is open.
        shapes: input name -> its shape, for sizes that an ONNX file leaves open.
        input_size_hw: another input size for a checkpoint than it was trained at; see `edge.training.input_size`.
        weights: how the weights of a float model are stored; see `converters.packaging.stored_weights`.
    """

    head: str | None = None
    card: Path | None = None
    name: str | None = None
    allow_float: frozenset[str] = frozenset()
    calibration: Calibration | None = None
    io: Literal["uint8"] | None = None
    keep_nchw_io: bool = False
    batch: int | None = None
    shapes: Mapping[str, tuple[int, ...]] | None = None
    input_size_hw: tuple[int, int] | None = None
    weights: Form | None = None


PLAIN = ConvertOptions()


def refuse_input_size(source: Path, options: ConvertOptions) -> None:
    """Refuse (UsageError) another input size for an ONNX file, whose graph is made for its own."""
    if options.input_size_hw is not None:
        raise UsageError(
            f"--input-size is for checkpoints; {source} is an ONNX file (sizes that it leaves open: --input-shape)"
        )
