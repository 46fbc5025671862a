"""The checkpoint that a conversion starts from, at the input size that is asked for."""

from functools import partial
from pathlib import Path

from converters.convert.calibration import Calibration, calibration_batches
from converters.convert.options import ConvertOptions
from edge.errors import UsageError
from edge.training.checkpoint import Checkpoint, read_checkpoint
from edge.training.input_size import Observation, at_size


def open_checkpoint(source: Path, options: ConvertOptions) -> Checkpoint:
    """Read a checkpoint; what only an ONNX file needs said is refused (UsageError)."""
    if options.calibration is not None and options.input_size_hw is None:
        raise UsageError(
            "--calibration is for foreign ONNX files, and for a QAT checkpoint at another --input-size; at its own a "
            "checkpoint carries its ranges"
        )
    if options.shapes:
        raise UsageError("--input-shape is for ONNX files; a checkpoint takes --input-size HEIGHTxWIDTH")
    if options.card is not None:
        raise UsageError("--card is for foreign ONNX files; a checkpoint carries its own task and preprocessing")
    checkpoint = read_checkpoint(source)
    if options.input_size_hw is None:
        return checkpoint
    calibration = options.calibration
    return at_size(checkpoint, options.input_size_hw, None if calibration is None else observation(calibration))


def observation(calibration: Calibration) -> Observation:
    """Calibration images as what ranges are observed on."""
    return Observation(batches=partial(calibration_batches, calibration.chosen()), estimator=calibration.ranges)
