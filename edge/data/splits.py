"""A split: an ordered, hash-pinned list of samples, decoded when asked for.

Everything that looks at images (training, calibration, evaluation, verify, bench, camera) takes a Split, wherever it
came from: a folder, CamVid, Cityscapes, Pascal VOC, the generator, or a pinned split file.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.data.boxes import BoxArrays, BoxTarget, box_arrays
from edge.data.class_table import Colour
from edge.data.decode import check_image, decode_image, read_file, read_image
from edge.data.mask_classes import MaskClasses
from edge.data.mask_file import MaskPixels, read_mask
from edge.errors import DataError
from edge.port import Scores

Pixels = NDArray[np.uint8]
Truth = tuple[int, ...]  # by independent label: 1 it holds, 0 it does not, UNKNOWN
UNKNOWN = -1
Render = Callable[[], Pixels]
Target = int | Truth | Path | Render | BoxTarget | None
Task = Literal["classify", "segment", "detect", "images"]


@dataclass(frozen=True, kw_only=True)
class TargetKind:
    """What the samples of a task have as their target.

    Attributes:
        fits: whether a target is one of the task, by whether its labels are independent.
        labels: a class of the whole image, or independent labels of it.
        mask: a class per pixel, as large as the image.
        boxes: boxes in pixels of the image, each with a class.
    """

    fits: Callable[[Target, bool], bool]
    labels: bool = False
    mask: bool = False
    boxes: bool = False


TARGETS: Mapping[str, TargetKind] = {
    "classify": TargetKind(
        fits=lambda target, independent: isinstance(target, tuple if independent else int), labels=True
    ),
    "segment": TargetKind(
        fits=lambda target, independent: not independent and (isinstance(target, Path) or callable(target)), mask=True
    ),
    "detect": TargetKind(
        fits=lambda target, independent: not independent and isinstance(target, BoxTarget), boxes=True
    ),
    "images": TargetKind(fits=lambda target, independent: target is None),
}


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One image and its target.

    Attributes:
        name: unique in its split; for files, the path relative to the images' folder, with forward slashes.
        image: a file, or a function that draws RGB uint8 (h, w, 3), the same on every call.
        target: a class index; of independent labels 1, 0 or UNKNOWN for each; for segmentation a mask file or a
            function that draws uint8 (h, w); for detection boxes; None: no target.
        image_sha256, mask_sha256: hex hash of the files as pinned; a file that differs is refused. None: not pinned.
    """

    name: str
    image: Path | Render
    target: Target
    image_sha256: str | None = None
    mask_sha256: str | None = None

    @property
    def where(self) -> Path:
        """What a message about this sample names: the image file, or the sample's name."""
        return self.image if isinstance(self.image, Path) else Path(self.name)


@dataclass(frozen=True, kw_only=True)
class Split:
    """An ordered list of samples with one meaning of targets.

    Attributes:
        samples: at least one, names unique.
        task: `classify` (int or `Truth` targets), `segment` (masks), `detect` (boxes) or `images` (no targets: enough
            for calibration).
        classes: class names by index; empty for `images`.
        scores: `independent` where every target is a `Truth`, `exclusive` where an image, pixel or box has one class.
        palette: one RGB colour per class, or empty.
        ignore_index: the mask value (after `mask_table`) that stands for no class.
        mask_table: 256 entries, class index by value in the mask file, -1 for a value that is refused; None: values
            are class indices.
        mask_colours: (red, green, blue, class index or void) of masks of colours; empty: the palette says it.
        origin: where it came from, for messages.
        notes: what was omitted or assumed when it was opened, a line each, for a person to know.
        skipped_damaged: how many images were omitted because they cannot be used (`edge.data.damaged`).
    """

    samples: tuple[Sample, ...]
    task: Task
    classes: tuple[str, ...] = ()
    scores: Scores = "exclusive"
    palette: tuple[Colour, ...] = ()
    ignore_index: int | None = None
    mask_table: tuple[int, ...] | None = None
    mask_colours: tuple[tuple[int, int, int, int], ...] = ()
    origin: str = ""
    notes: tuple[str, ...] = ()
    skipped_damaged: int = 0

    def __post_init__(self) -> None:
        if not self.samples:
            raise DataError(self.origin or "split", "no samples")
        counts = Counter(sample.name for sample in self.samples)
        if len(counts) != len(self.samples):
            twice = counts.most_common(1)[0][0]
            raise DataError(self.origin or "split", f"sample '{twice}' is listed twice")
        if self.palette and len(self.palette) != len(self.classes):
            raise DataError(self.origin, f"{len(self.palette)} colours for {len(self.classes)} classes")
        if self.mask_table is not None and len(self.mask_table) != 256:
            raise DataError(self.origin, f"the mask table must have 256 entries, found {len(self.mask_table)}")
        for name in self.classes:
            if any(0xD800 <= ord(letter) < 0xE000 for letter in name):  # bytes of a folder's name that are no UTF-8
                raise DataError(self.origin, f"the class '{name}' has a name that is not UTF-8 text; give it another")
        for sample in self.samples:
            self._check_label(sample)

    def __len__(self) -> int:
        return len(self.samples)

    def name(self, index: int) -> str:
        """The sample's name, unique in the split."""
        return self.samples[index].name

    @property
    def has_targets(self) -> bool:
        """Whether its samples have targets; without, they are images alone."""
        return self.task != "images"

    @property
    def has_labels(self) -> bool:
        """Whether its targets are classes or independent labels of whole images."""
        return TARGETS[self.task].labels

    @property
    def has_masks(self) -> bool:
        """Whether its targets are masks, as large as their images."""
        return TARGETS[self.task].mask

    @property
    def has_boxes(self) -> bool:
        """Whether its targets are boxes in its images."""
        return TARGETS[self.task].boxes

    def image(self, index: int) -> Pixels:
        """RGB uint8 (h, w, 3), decoded now; refused when the file is missing, damaged, or not the pinned one."""
        return _image(self.samples[index])

    def target(self, index: int) -> int | NDArray[np.int8] | Pixels | BoxArrays:
        """The class index, `truth` of independent labels, mask uint8 (h, w) of indices and `ignore_index`, or boxes.

        Refused: a split without targets, a missing or damaged mask, a mask value that is no class.
        """
        target = self.samples[index].target
        if target is None:
            raise DataError(self.samples[index].where, "has no target: this split has images only")
        if isinstance(target, tuple):
            return self.truth(index)
        if isinstance(target, BoxTarget):
            return self.boxes(index)
        return target if isinstance(target, int) else self.mask(index)

    def truth(self, index: int) -> NDArray[np.int8]:
        """int8 (classes,): 1 for what holds of a classification sample, 0 for what does not, UNKNOWN.

        Of a sample with a class, that class holds and no other does.
        """
        target = self.samples[index].target
        if isinstance(target, tuple):
            return np.array(target, dtype=np.int8)
        truth = np.zeros(len(self.classes), dtype=np.int8)
        truth[self.label(index)] = 1
        return truth

    def label(self, index: int) -> int:
        """The class index of a classification sample."""
        target = self.samples[index].target
        if isinstance(target, tuple):
            raise DataError(self.origin, "its labels are independent of each other: an image has no one class")
        if not isinstance(target, int):
            raise DataError(self.samples[index].where, f"has no class label: the split's task is '{self.task}'")
        return target

    def boxes(self, index: int) -> BoxArrays:
        """The boxes of a detection sample, in pixels of `image(index)`; an image may have none."""
        target = self.samples[index].target
        if not isinstance(target, BoxTarget):
            raise DataError(self.samples[index].where, f"has no boxes: the split's task is '{self.task}'")
        return box_arrays(target.boxes)

    def mask(self, index: int, image: Pixels | None = None) -> Pixels:
        """The mask of a segmentation sample, uint8 (h, w); refused as in `target`.

        Args:
            image: the sample's image, where it is there already: a mask of another size is refused.
        """
        return self._mask(self.samples[index], image)

    def subset(self, indices: Sequence[int]) -> "Split":
        """The samples at these positions, in this order."""
        return replace(self, samples=tuple(self.samples[index] for index in indices))

    def check(self, index: int) -> None:
        """Refuse a sample that `image` or `mask` refuses, without keeping what is decoded; see `decode.check_image`."""
        sample = self.samples[index]
        data = read_file(sample.image, sample.image_sha256) if isinstance(sample.image, Path) else b""
        if self.has_masks:
            self._mask(sample, decode_image(sample.where, data, cut_is_looked_for=False) if data else _image(sample))
        elif data:
            check_image(sample.where, data)

    @cached_property
    def sha256(self) -> str:
        """Hex hash over the ordered names, image contents and targets; pinned hashes stand in for reading a file."""
        digest = hashlib.sha256()
        if self.mask_table is not None:
            digest.update(bytes(value % 256 for value in self.mask_table))
        for sample in self.samples:
            image_hash, target_hash = content_hashes(sample)
            line = f"{sample.name}\t{image_hash}\t{target_hash}\n"
            digest.update(line.encode(errors="surrogateescape"))  # a file's name need not be UTF-8
        return digest.hexdigest()

    def _check_label(self, sample: Sample) -> None:
        independent = self.scores == "independent"
        if not TARGETS[self.task].fits(sample.target, independent):
            raise DataError(sample.where, f"its target does not fit the task '{self.task}' of {self.scores} classes")
        if isinstance(sample.target, tuple):
            if len(sample.target) != len(self.classes) or not {*sample.target} <= {0, 1, UNKNOWN}:
                raise DataError(sample.where, f"its labels are not {len(self.classes)} of 1, 0 and {UNKNOWN}")
            return
        if isinstance(sample.target, BoxTarget) and (problem := sample.target.problem(len(self.classes))):
            raise DataError(sample.where, problem)
        if isinstance(sample.target, int) and not 0 <= sample.target < len(self.classes):
            raise DataError(
                sample.where, f"label {sample.target} is out of range; there are {len(self.classes)} classes (0 first)"
            )

    def _mask(self, sample: Sample, image: Pixels | None) -> Pixels:
        if sample.target is None or isinstance(sample.target, int | tuple | BoxTarget):
            raise DataError(sample.where, f"has no mask: the split's task is '{self.task}'")
        where = sample.target if isinstance(sample.target, Path) else sample.where
        if isinstance(sample.target, Path):
            mask = read_mask(sample.target, sample.mask_sha256)
        else:
            mask = MaskPixels(pixels=sample.target())
        if image is not None and mask.pixels.shape[:2] != image.shape[:2]:
            size = f"mask is {_size(mask.pixels)} (height x width), its image {sample.where.name} is {_size(image)}"
            raise DataError(where, f"{size}: each pixel of the image has one of its mask")
        return self._mask_classes.class_map(where, mask)

    @cached_property
    def _mask_classes(self) -> MaskClasses:
        return MaskClasses(
            names=self.classes,
            palette=self.palette,
            ignore_index=self.ignore_index,
            mask_table=self.mask_table,
            mask_colours=self.mask_colours,
        )


def _image(sample: Sample) -> Pixels:
    return read_image(sample.image, sample.image_sha256) if isinstance(sample.image, Path) else sample.image()


def content_hashes(sample: Sample) -> tuple[str, str]:
    """Hex SHA-256 of the image's content, and of the mask's or boxes' (or labels as text, or `-` for none).

    A file's content is its bytes; a drawn image's is its shape and pixels.
    """
    image = sample.image_sha256 or _content_hash(sample.image)
    if sample.target is None:
        return image, "-"
    if isinstance(sample.target, int):
        return image, str(sample.target)
    if isinstance(sample.target, tuple):
        return image, ",".join(map(str, sample.target))
    if isinstance(sample.target, BoxTarget):
        return image, sample.target.sha256()
    return image, sample.mask_sha256 or _content_hash(sample.target)


def _content_hash(source: Path | Render) -> str:
    if isinstance(source, Path):
        return hashlib.sha256(read_file(source)).hexdigest()
    pixels = source()
    return hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def _size(pixels: Pixels) -> str:
    return f"{pixels.shape[0]}x{pixels.shape[1]}"
