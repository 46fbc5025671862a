"""The images that an artifact is verified on: a split's, or those of its self-test."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.artifact.manifest import Artifact
from edge.data.splits import Split
from edge.predictor.selftest import selftest_images
from edge.predictor.selftest_archive import read_selftest
from edge.vision.pixels import resize

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Images:
    """A list of images for one model.

    Attributes:
        origin: where they come from, for the report.
        split: their split, None for the self-test's images.
        resized: the self-test's images, uint8 (n, height, width, 3) at the model's size; None with a split.
        count: how many are looked at: the first ones. asked: how many were asked for; None all.
    """

    artifact: Artifact
    origin: str
    split: Split | None
    resized: Pixels | None
    count: int
    asked: int | None = None
    _sizes_hw: dict[int, tuple[int, int]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def labelled(self) -> bool:
        """Whether the images have targets for the artifact's task."""
        return self.split is not None and self.artifact.manifest.task == self.split.task

    @property
    def wording(self) -> str:
        """How many, of what, when there were fewer than asked for, and how many were omitted."""
        fewer = f" ({self.asked} were asked for)" if self.asked is not None and self.asked > self.count else ""
        skipped = f", {self.skipped_damaged} damaged omitted" if self.skipped_damaged else ""
        return f"{self.count} images of {self.origin}{fewer}{skipped}"

    @property
    def skipped_damaged(self) -> int:
        """How many images were omitted because they cannot be used."""
        return 0 if self.split is None else self.split.skipped_damaged

    def batches(self, size: int = 1) -> Iterator[tuple[list[int], Pixels]]:
        """Indices and uint8 (n, height, width, 3) at the model's size and in its colour order."""
        for start in range(0, self.count, size):
            indices = list(range(start, min(start + size, self.count)))
            yield indices, np.stack([self.pixels(index) for index in indices])

    def frame_hw(self, index: int) -> tuple[int, int]:
        """Height and width of an image as the split has it, or of the model's input."""
        if self.split is None:
            return self.artifact.manifest.preprocess.height, self.artifact.manifest.preprocess.width
        if index not in self._sizes_hw:
            self.pixels(index)
        return self._sizes_hw[index]

    def pixels(self, index: int) -> Pixels:
        """One image at the model's size, uint8 (height, width, 3)."""
        if self.resized is not None:
            return np.asarray(self.resized[index])
        assert self.split is not None
        frame = self.split.image(index)
        self._sizes_hw[index] = (frame.shape[0], frame.shape[1])
        return resize(frame, self.artifact.manifest.preprocess)


def choose_images(artifact: Artifact, split: Split | None, samples: int | None) -> Images:
    """The first `samples` (None: all) images of a split, or of the self-test when there is no split."""
    if split is None:
        resized = selftest_images(artifact, read_selftest(artifact))
        count = len(resized) if samples is None else min(samples, len(resized))
        origin = "the artifact's self-test"
        return Images(artifact=artifact, origin=origin, split=None, resized=resized, count=count, asked=samples)
    count = len(split) if samples is None else min(samples, len(split))
    origin = split.origin or "the split"
    return Images(artifact=artifact, origin=origin, split=split, resized=None, count=count, asked=samples)
