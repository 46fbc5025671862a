"""What the classes of a split say before a training: nothing to tell apart, few images, an image under two classes."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from edge.data.splits import Split, content_hashes
from edge.errors import DataError, first_of

FEW = 5
UNEQUAL = 10


def class_notes(split: Split) -> list[str]:
    """What a person should know of a training split whose images have classes, labels, boxes or masks.

    Notes: classes without an image, with fewer than FEW, or with UNEQUAL times fewer than the largest; names that
    differ in case alone; the same image under two classes. Of independent labels: those that hold in fewer than FEW
    images, in none, or wherever they are known. Of masks: classes without a pixel. Of boxes: classes without one, with
    fewer than FEW, images without one.

    Refused (DataError): images of one class alone, masks of void alone, images of which none has a box.
    """
    if split.has_masks:
        return _rare(split, np.where(class_shares(split) > 0, FEW, 0), "classes have", "pixel")
    if split.has_boxes:
        return _box_notes(split)
    if not split.has_labels:
        return []
    if split.scores == "independent":
        return _label_notes(split)
    counts = np.bincount([split.label(index) for index in range(len(split))], minlength=len(split.classes))
    if np.count_nonzero(counts) == 1:
        raise DataError(
            split.origin,
            f"all {len(split)} images are of one class, '{split.classes[counts.argmax()]}': there is nothing to tell "
            "apart; give two classes or more (of folders, the folder that holds one per class)",
        )
    named = [f"'{name}' {count}" for name, count in zip(split.classes, counts, strict=True)]
    largest = counts.argmax()
    small = [named[index] for index in np.flatnonzero(counts) if counts[index] * UNEQUAL < counts[largest]]
    notes = _rare(split, counts, "classes have", "image")
    if small and min(counts[counts > 0]) >= FEW:
        weights = "train.class_weights=sqrt_frequency gives rare classes more weight"
        notes.append(f"classes are unequal: {named[largest]}, but {first_of(small)}; {weights}")
    return [*notes, *_alike(split), *_otherwise_twice(split, "stand under two classes")]


def _label_notes(split: Split) -> list[str]:
    truth = np.stack([split.truth(index) for index in range(len(split))])
    negatives = (truth == 0).sum(axis=0)
    always = [f"'{name}'" for name, failed in zip(split.classes, negatives, strict=True) if not failed]
    notes = _rare(split, (truth == 1).sum(axis=0), "labels hold in", "image")
    if always:
        notes.append(f"{len(always)} of {len(split.classes)} labels hold wherever they are known: {first_of(always)}")
    return notes


def _box_notes(split: Split) -> list[str]:
    given = [split.boxes(index) for index in range(len(split))]
    counts = sum(np.bincount(boxes.labels[~boxes.ignored], minlength=len(split.classes)) for boxes in given)
    if not np.any(counts):
        raise DataError(split.origin, f"none of its {len(split)} images has a box: there is nothing to learn to find")
    notes = _rare(split, np.asarray(counts), "classes have", "box", "boxes")
    if empty := sum(not len(boxes.labels) for boxes in given):
        notes.append(f"{empty} of {len(split)} images have no box: all that is in them is background")
    return [*notes, *_alike(split), *_otherwise_twice(split, "are there twice, with other boxes")]


def _rare(split: Split, counts: NDArray[np.int64], have: str, one: str, several: str = "") -> list[str]:
    """Notes of the classes, or labels, that have none of a thing, and of those that have fewer than FEW."""
    named = list(zip((f"'{name}'" for name in split.classes), counts.tolist(), strict=True))
    none = [name for name, count in named if not count]
    few = [f"{name} {count}" for name, count in named if 0 < count < FEW]
    notes = [f"{len(none)} of {len(named)} {have} no {one} to train on: {first_of(none)}"] if none else []
    if few:
        notes.append(f"{len(few)} {have} fewer than {FEW} {several or one + 's'} to train on: {first_of(few)}")
    return notes


def class_shares(split: Split) -> NDArray[np.float64]:
    """Share of labelled pixels per class, float64 (classes,), void omitted; refused (DataError): void alone."""
    counts = np.zeros(256, dtype=np.int64)
    for index in range(len(split)):
        counts += np.bincount(split.mask(index).ravel(), minlength=256)
    labelled = counts[: len(split.classes)].astype(np.float64)
    if not labelled.any():
        raise DataError(split.origin, f"the masks of all {len(split)} images are void: no pixel is of a class")
    return np.asarray(labelled / labelled.sum())


def _alike(split: Split) -> list[str]:
    """A note of every group of names that differ in case alone."""
    by_lower: dict[str, list[str]] = defaultdict(list)
    for name in split.classes:
        by_lower[name.lower()].append(f"'{name}'")
    groups = [alike for alike in by_lower.values() if len(alike) > 1]
    return [f"classes {' and '.join(alike)} differ in upper and lower case alone" for alike in groups]


def _otherwise_twice(split: Split, how: str) -> list[str]:
    """A note of the pairs of files with the same content and another target."""
    first: dict[str, int] = {}
    found = []
    for index, sample in enumerate(split.samples):
        if callable(sample.image):
            continue
        earlier = first.setdefault(content_hashes(sample)[0], index)
        if split.samples[earlier].target != sample.target:
            found.append(f"{split.name(earlier)} and {split.name(index)}")
    return [f"{len(found)} images {how}: {first_of(found)}"] if found else []
