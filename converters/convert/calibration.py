"""Calibration images: which ones, and the ranges that activations take on them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.data.damaged import without_damaged
from edge.data.open_split import open_split
from edge.data.splits import Split
from edge.errors import UsageError, unknown_name
from edge.graph.graph import Graph
from edge.quantization.ptq.estimators import ESTIMATORS, Estimator, Range
from edge.quantization.ties import RangeGroup
from edge.vision.pixels import in_layout, normalize, resize
from edge.vision.preprocess import Preprocess

BATCH_IMAGES = 8


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Which images the ranges come from, and how.

    Attributes:
        split: targets are not looked at.
        images: at most this many, spread evenly over the split; None takes all.
        ranges: the estimator.
        made: the images were made for the model, at its size.
    """

    split: Split
    images: int | None = None
    ranges: Estimator = "mse"
    made: bool = False

    def read_by(self, preprocess: Preprocess) -> Preprocess:
        """How its images become the model's input: nothing is cut off those that were made for it."""
        return preprocess.model_copy(update={"fit": "stretch", "crop_fraction": 1.0}) if self.made else preprocess

    def chosen(self) -> Split:
        """The images that are used. Refuses (UsageError) fewer than one."""
        return self.split.subset(spread(len(self.split), self.images))


def open_calibration(
    split: str | None, images: int | None, ranges: Any, *, skip_damaged: bool = False
) -> Calibration | None:
    """The calibration that a command line names, see `calibration_of`; None without a split.

    Raises:
        UsageError: an unknown estimator or kind of split, or a number of images without a split.
        DataError: a split that cannot be read.
    """
    if ranges not in ESTIMATORS:
        raise UsageError(f"--ranges: {unknown_name('estimator', ranges, ESTIMATORS)}")
    if split is None:
        if images is not None:
            raise UsageError("-n counts calibration images; name them with --calibration SPLIT")
        return None
    opened = open_split(split=split, option="--calibration", skip_damaged=skip_damaged)
    return calibration_of(opened, images, ranges, skip_damaged=skip_damaged)


def calibration_of(split: Split, images: int | None, ranges: Estimator, *, skip_damaged: bool = False) -> Calibration:
    """A calibration whose images were looked at; damaged ones are refused, or omitted with `skip_damaged`."""
    chosen = Calibration(split=split, images=images).chosen()
    return Calibration(split=without_damaged(chosen, skip=skip_damaged), ranges=ranges)


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
        yield in_layout(normalize(pixels, preprocess), "nchw")


def activation_ranges(
    graph: Graph, names: tuple[str, ...], calibration: Calibration, preprocess: Preprocess
) -> Mapping[str, Range]:
    """The range of some activations of a float graph on the calibration images, by the estimator.

    Raises:
        UsageError: no images. DataError: an image that cannot be read.
        UnsupportedError: an operator without a float formula. EdgeError: an activation that is not finite.
    """
    from edge.quantization.ptq.calibrate import collect  # brings torch

    groups = [
        RangeGroup(name=name, tensors=(name,), sources=(name,), nonnegative=False, ceiling=None, fixed=None)
        for name in names
    ]
    batches = calibration_batches(calibration.chosen(), preprocess)
    histograms = collect(graph, groups, batches, bounds_only=calibration.ranges == "minmax")
    return {name: ESTIMATORS[calibration.ranges](histogram) for name, histogram in histograms.items()}
