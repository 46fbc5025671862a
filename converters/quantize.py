"""From a float checkpoint or ONNX file and calibration images to an INT8 artifact: the steps of `edge quantize`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from converters.build import build_artifact
from converters.convert import load_source, selftest_images, with_quantization
from converters.package import precision_of
from edge.artifact import Artifact, QuantizationInfo
from edge.data.splits import Split
from edge.errors import UsageError
from edge.quantization.calibrate import calibrate
from edge.quantization.estimators import Estimator
from edge.quantization.scheme import Scheme, input_range
from edge.vision.preprocess import Preprocess, normalize, normalize_table, resize

BATCH_IMAGES = 8


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Which images the ranges come from, and how.

    Attributes:
        split: targets are not looked at.
        images: at most this many, spread evenly over the split; None takes all.
        ranges: the estimator.
    """

    split: Split
    images: int | None = None
    ranges: Estimator = "mse"


def quantize_source(
    source: Path,
    folder: Path,
    calibration: Calibration,
    *,
    head: str | None = None,
    card_path: Path | None = None,
    name: str | None = None,
    allow_float: frozenset[str] = frozenset(),
) -> Artifact:
    """Quantize a float model after training and write it as an artifact folder.

    Args:
        source: a float `.safetensors` checkpoint or a float `.onnx` file (with `card_path`).
        head, card_path, name, allow_float: as in `convert_source`.

    Raises:
        FileError: a source, card or image that is missing, damaged or of another kind.
        UsageError: the source is quantized already, or options do not hold together.
        UnsupportedError: an operator that cannot be quantized, by name.
    """
    graph, description = load_source(source, folder, head=head, card_path=card_path, name=name)
    if precision_of(graph) == "int8":
        raise UsageError(f"{source} is quantized already; turn it into an artifact with `edge convert`")
    preprocess = description.preprocess
    split = calibration.split.subset(spread(len(calibration.split), calibration.images))
    quantized = calibrate(
        graph,
        calibration_batches(split, preprocess),
        estimator=calibration.ranges,
        input_range=input_range(normalize_table(preprocess)),
    )
    facts = QuantizationInfo(
        method="ptq",
        scheme=Scheme().model_dump(mode="json"),
        calibration_sha256=split.sha256,
        calibration_images=len(split),
        ranges=calibration.ranges,
    )
    description = with_quantization(description, facts)
    return build_artifact(quantized, description, folder, images=selftest_images(preprocess), allow_float=allow_float)


def spread(count: int, wanted: int | None) -> tuple[int, ...]:
    """Indices of at most `wanted` of `count` samples, evenly spread, ascending. Refuses (UsageError) fewer than one."""
    if wanted is not None and wanted < 1:
        raise UsageError(f"{wanted} calibration images; at least 1 is needed")
    if wanted is None or wanted >= count:
        return tuple(range(count))
    return tuple(index * count // wanted for index in range(wanted))


def calibration_batches(split: Split, preprocess: Preprocess) -> Iterator[npt.NDArray[np.float32]]:
    """The images of a split as the model sees them, float32 (n, 3, h, w), a few at a time.

    Raises:
        DataError: an image that cannot be read, by its file.
    """
    for start in range(0, len(split), BATCH_IMAGES):
        batch = range(start, min(start + BATCH_IMAGES, len(split)))
        pixels = np.stack([resize(split.image(index), preprocess) for index in batch])
        yield np.ascontiguousarray(normalize(pixels, preprocess).transpose(0, 3, 1, 2), np.float32)
