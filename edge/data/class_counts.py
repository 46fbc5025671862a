"""What the classes of a split say before a training: nothing to tell apart, few images, an image under two classes."""

from collections import Counter, defaultdict

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
        shares = class_shares(split)
        none = [f"'{name}'" for name, share in zip(split.classes, shares, strict=True) if share == 0]
        return (
            [f"{len(none)} of {len(split.classes)} classes have no pixel to train on: {first_of(none)}"] if none else []
        )
    if split.has_boxes:
        return _box_notes(split)
    if not split.has_labels:
        return []
    if split.scores == "independent":
        return _label_notes(split)
    counts = Counter(split.label(index) for index in range(len(split)))
    if len(counts) == 1:
        (only,) = counts
        raise DataError(
            split.origin,
            f"all {len(split)} images are of one class, '{split.classes[only]}': there is nothing to tell apart; give "
            "two classes or more (of folders, the folder that holds one per class)",
        )
    named = [f"'{name}' {counts[index]}" for index, name in enumerate(split.classes)]
    none = [f"'{name}'" for index, name in enumerate(split.classes) if not counts[index]]
    few = [named[index] for index in sorted(counts) if counts[index] < FEW]
    largest = max(counts, key=lambda index: counts[index])
    small = [named[index] for index in sorted(counts) if counts[index] * UNEQUAL < counts[largest]]
    notes = []
    if none:
        notes.append(f"{len(none)} of {len(split.classes)} classes have no image to train on: {first_of(none)}")
    if few:
        notes.append(f"{len(few)} classes have fewer than {FEW} images to train on: {first_of(few)}")
    elif small:
        weights = "train.class_weights=sqrt_frequency gives rare classes more weight"
        notes.append(f"classes are unequal: {named[largest]}, but {first_of(small)}; {weights}")
    notes += [f"classes {' and '.join(alike)} differ in upper and lower case alone" for alike in _alike(split.classes)]
    if twice := _otherwise_twice(split):
        notes.append(f"{len(twice)} images stand under two classes: {first_of(twice)}")
    return notes


def _label_notes(split: Split) -> list[str]:
    truth = np.stack([split.truth(index) for index in range(len(split))])
    positives, negatives = (truth == 1).sum(axis=0), (truth == 0).sum(axis=0)
    none = [f"'{name}'" for name, held in zip(split.classes, positives, strict=True) if not held]
    always = [f"'{name}'" for name, failed in zip(split.classes, negatives, strict=True) if not failed]
    few = [f"'{name}' {held}" for name, held in zip(split.classes, positives, strict=True) if 0 < held < FEW]
    notes = []
    if none:
        notes.append(f"{len(none)} of {len(split.classes)} labels hold in no image to train on: {first_of(none)}")
    if always:
        notes.append(f"{len(always)} of {len(split.classes)} labels hold wherever they are known: {first_of(always)}")
    if few:
        notes.append(f"{len(few)} labels hold in fewer than {FEW} images to train on: {first_of(few)}")
    return notes


def _box_notes(split: Split) -> list[str]:
    given = [split.boxes(index) for index in range(len(split))]
    counts = sum(np.bincount(boxes.labels[~boxes.ignored], minlength=len(split.classes)) for boxes in given)
    if not np.any(counts):
        raise DataError(split.origin, f"none of its {len(split)} images has a box: there is nothing to learn to find")
    named = list(zip((f"'{name}'" for name in split.classes), np.atleast_1d(counts), strict=True))
    none = [name for name, count in named if not count]
    few = [f"{name} {count}" for name, count in named if 0 < count < FEW]
    empty = sum(not len(boxes.labels) for boxes in given)
    notes = []
    if none:
        notes.append(f"{len(none)} of {len(split.classes)} classes have no box to train on: {first_of(none)}")
    if few:
        notes.append(f"{len(few)} classes have fewer than {FEW} boxes to train on: {first_of(few)}")
    if empty:
        notes.append(f"{empty} of {len(split)} images have no box: all that is in them is background")
    notes += [f"classes {' and '.join(alike)} differ in upper and lower case alone" for alike in _alike(split.classes)]
    if twice := _otherwise_twice(split):
        notes.append(f"{len(twice)} images are there twice, with other boxes: {first_of(twice)}")
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


def _alike(names: tuple[str, ...]) -> list[list[str]]:
    by_lower: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_lower[name.lower()].append(f"'{name}'")
    return [alike for alike in by_lower.values() if len(alike) > 1]


def _otherwise_twice(split: Split) -> list[str]:
    """Pairs of files with the same content and another target."""
    first: dict[str, int] = {}
    found = []
    for index, sample in enumerate(split.samples):
        if callable(sample.image):
            continue
        earlier = first.setdefault(content_hashes(sample)[0], index)
        if split.samples[earlier].target != sample.target:
            found.append(f"{split.name(earlier)} and {split.name(index)}")
    return found
