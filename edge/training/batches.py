"""Training batches: the order of samples, their augmentation, and threads that prepare them ahead.

Everything random follows from (seed, epoch, index of the sample), never from what ran before, so an interrupted epoch
goes on exactly where it stopped.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.data.augment import (
    ClassificationAugment,
    ColourJitter,
    SegmentationAugment,
    augment_classification,
    augment_segmentation,
)
from edge.data.box_augment import DetectionAugment, augment_detection
from edge.data.boxes import BoxArrays
from edge.data.fitted_boxes import fitted
from edge.data.splits import Split
from edge.errors import UsageError
from edge.recipe.recipe import Augment, Phase
from edge.training.box_matching import BoxBatch
from edge.training.losses import NO_CLASS
from edge.vision.pixels import resize, resize_mask
from edge.vision.preprocess import Preprocess

Pixels = NDArray[np.uint8]
Target = int | NDArray[Any] | BoxArrays | None
_ORDER, _AUGMENT = 0, 1
_BATCHES_AHEAD = 3
CACHE_SHARE = 0.25
"""The most of this machine's memory that decoded images are kept in; what does not fit is decoded each time."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Images uint8 (n, h, w, 3) in the model's colour order; targets int64 (n,), (n, h, w) or (n, labels), or boxes."""

    images: Tensor
    targets: Tensor | BoxBatch | None


def batches_per_epoch(images: int, phase: Phase) -> int:
    """How many batches of an epoch these images make."""
    whole = images // phase.batch_size
    return whole if phase.drop_partial and whole else -(-images // phase.batch_size)


class KeptSamples:
    """Decoded samples of one split and preprocessing, as many as fit into `room_bytes` (CACHE_SHARE of the memory)."""

    def __init__(self, room_bytes: int | None = None) -> None:
        self.room_bytes = int(_memory_bytes() * CACHE_SHARE) if room_bytes is None else room_bytes
        self._samples: dict[tuple[int, bool], tuple[Pixels, Target]] = {}

    def get(self, index: int, *, with_target: bool) -> tuple[Pixels, Target] | None:
        """A sample that was kept, with or without its target."""
        return self._samples.get((index, with_target))

    def keep(self, index: int, image: Pixels, target: Target, *, with_target: bool) -> None:
        """Keep a sample where it fits; samples of an epoch differ, so threads never meet at one index."""
        size_bytes = image.nbytes + (target.nbytes if isinstance(target, np.ndarray) else 0)
        if size_bytes <= self.room_bytes:
            self.room_bytes -= size_bytes
            self._samples[index, with_target] = (image, target)


class Batches:
    """The training batches of a split, epoch by epoch.

    Segmentation images are brought to the model's size once (`preprocess`), then scaled, cut to `size_hw` and flipped;
    classification images are cut from the original. So are detection images: from what the model would see of them, in
    the pixels of the original.

    Args:
        kept: where decoded samples are kept; None: as many as fit, for these batches alone.
    """

    def __init__(
        self,
        split: Split,
        preprocess: Preprocess,
        phase: Phase,
        *,
        size_hw: tuple[int, int],
        kept: KeptSamples | None = None,
        workers: int = 1,
        with_targets: bool = True,
    ) -> None:
        self.split = split
        self.preprocess = preprocess
        self.phase = phase
        self.size_hw = size_hw
        self.workers = workers
        self.with_targets = with_targets
        self.kept = KeptSamples() if kept is None else kept
        self.per_epoch = batches_per_epoch(len(split), phase)
        if with_targets and not split.has_targets:
            raise UsageError(f"{split.origin}: has no labels to train on; give a split with labels or label_weight = 0")

    def order(self, epoch: int) -> list[int]:
        """The samples of an epoch, in order: a permutation that depends on seed and epoch alone."""
        rng = np.random.default_rng((self.phase.seed, _ORDER, epoch))
        return [int(index) for index in rng.permutation(len(self.split))]

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from batch `start` on, prepared ahead by threads."""
        order = self.order(epoch)
        size = self.phase.batch_size
        wanted = [order[index * size : (index + 1) * size] for index in range(start, self.per_epoch)]
        with ThreadPoolExecutor(self.workers, thread_name_prefix="batches") as pool:
            waiting: deque[list[Future[tuple[Pixels, Target]]]] = deque()
            try:
                for indices in wanted:
                    waiting.append([pool.submit(self.sample, epoch, index) for index in indices])
                    if len(waiting) > _BATCHES_AHEAD:
                        yield self._batch([future.result() for future in waiting.popleft()])
                while waiting:
                    yield self._batch([future.result() for future in waiting.popleft()])
            finally:
                pool.shutdown(cancel_futures=True)

    def sample(self, epoch: int, index: int) -> tuple[Pixels, Target]:
        """One augmented sample: uint8 (h, w, 3) and its target; `NO_CLASS` in masks, None without targets."""
        rng = np.random.default_rng((self.phase.seed, _AUGMENT, epoch, index))
        image, target = self._decoded(index)
        augment = self.phase.augment
        if isinstance(target, np.ndarray) and self.split.has_masks:
            fill = _grey(self.preprocess)
            return augment_segmentation(
                image, target, self.size_hw, _segmentation(augment), rng, ignore_index=NO_CLASS, fill=fill
            )
        if isinstance(target, BoxArrays):
            fill = _grey(self.preprocess)
            image, boxes, labels, ignored = augment_detection(
                image, target.boxes, target.labels, target.ignored, self.size_hw, _detection(augment), rng, fill
            )
            return image, BoxArrays(boxes=boxes, labels=labels, ignored=ignored)
        return augment_classification(image, self.size_hw, _classification(augment), rng), target

    def _decoded(self, index: int) -> tuple[Pixels, Target]:
        known = self.kept.get(index, with_target=self.with_targets)
        if known is not None:
            return known
        image = self.split.image(index)
        target: Target
        if self.with_targets and self.split.has_masks:
            mask = self.split.mask(index, image)
            image, target = resize(image, self.preprocess), self._mask(mask)
        else:
            if self.preprocess.colour_order == "bgr":
                image = np.ascontiguousarray(image[:, :, ::-1])
            target = self.split.target(index) if self.with_targets or self.split.has_boxes else None
        if isinstance(target, BoxArrays):
            image, target = fitted(image, target, self.preprocess, _grey(self.preprocess))
        self.kept.keep(index, image, target, with_target=self.with_targets)
        return image, target

    def _mask(self, mask: Pixels) -> Pixels:
        if self.split.ignore_index is not None and self.split.ignore_index != NO_CLASS:
            mask = np.where(mask == self.split.ignore_index, np.uint8(NO_CLASS), mask)
        return resize_mask(mask, self.preprocess, NO_CLASS)

    def _batch(self, samples: list[tuple[Pixels, Target]]) -> Batch:
        images = torch.from_numpy(np.stack([image for image, _ in samples]))
        if not self.with_targets:
            return Batch(images=images, targets=None)
        if self.split.has_boxes:
            return Batch(images=images, targets=_box_batch([target for _, target in samples]))
        targets = np.stack([np.asarray(target) for _, target in samples]).astype(np.int64)
        return Batch(images=images, targets=torch.from_numpy(targets))


class Normalizer:
    """uint8 (n, h, w, 3) to the model's float input (n, 3, h, w), channels last in memory, by `normalize`'s formula."""

    def __init__(self, preprocess: Preprocess) -> None:
        self.mean = torch.tensor(preprocess.mean, dtype=torch.float32)
        self.std = torch.tensor(preprocess.std, dtype=torch.float32)

    def __call__(self, images: Tensor) -> Tensor:
        """Normalize a batch on its device."""
        values = (images.float() - self.mean.to(images.device)) / self.std.to(images.device)
        return values.permute(0, 3, 1, 2)


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _classification(augment: Augment) -> ClassificationAugment:
    return ClassificationAugment(area=augment.area, aspect=augment.aspect, flip=augment.flip, colour=_colour(augment))


def _segmentation(augment: Augment) -> SegmentationAugment:
    return SegmentationAugment(scale=augment.scale, flip=augment.flip, colour=_colour(augment))


def _detection(augment: Augment) -> DetectionAugment:
    return DetectionAugment(
        expand=augment.expand,
        expand_share=augment.expand_share,
        crop_overlaps=augment.crop_overlaps,
        area=augment.area,
        aspect=augment.aspect,
        flip=augment.flip,
        flip_vertical=augment.flip_vertical,
        colour=_colour(augment),
    )


def _box_batch(targets: Sequence[Target]) -> BoxBatch:
    arrays = [target for target in targets if isinstance(target, BoxArrays)]
    return BoxBatch(
        boxes=tuple(torch.from_numpy(target.boxes) for target in arrays),
        labels=tuple(torch.from_numpy(target.labels) for target in arrays),
        ignored=tuple(torch.from_numpy(target.ignored) for target in arrays),
    )


def _colour(augment: Augment) -> ColourJitter:
    return ColourJitter(
        brightness=augment.brightness,
        contrast=augment.contrast,
        saturation=augment.saturation,
        channel=augment.channel,
        noise=augment.noise,
    )


def _grey(preprocess: Preprocess) -> tuple[int, int, int]:
    first, second, third = (min(255, max(0, round(value))) for value in preprocess.mean)
    return first, second, third
