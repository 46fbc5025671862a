"""Segmentation splits from a folder of images and one of masks, and what values mean where no file says it."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge.data.class_names import NO_CLASS, REFUSED, ClassNames
from edge.data.mask_classes import one_channel
from edge.data.mask_file import MaskPixels, read_mask
from edge.data.mask_pairs import mask_pairs
from edge.data.splits import Sample, Split
from edge.errors import DataError

MOST_UNNAMED = 64
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


def mask_folder(images: Path, masks: Path, classes: ClassNames | None = None) -> Split:
    """Images and the masks that are called like them (`edge.data.mask_pairs`), of values, palettes or colours.

    Args:
        classes: names, colours, void; None: every mask is read once, and the classes are the values found. 255 is void
            where nothing else is said, except in masks of nothing but 0 and 255, which are two classes.

    Refused (DataError): what `mask_pairs` and `Split.mask` refuse; without `classes`: colours, values with gaps, one
    class alone, more than 64; with them: masks of 0 and 255 alone for other than two classes.
    """
    pairs = mask_pairs(images, masks)
    notes: tuple[str, ...] = ()
    if classes is None:
        classes, note = _found_classes(masks, [mask for _, mask in pairs])
        notes = (note,)
    else:
        classes = _binary_classes(masks, [mask for _, mask in pairs], classes)
        if classes.ignore_index is None and classes.mask_table is None and len(classes.names) <= NO_CLASS:
            classes = replace(classes, ignore_index=NO_CLASS)
    if len(classes.names) > 256:
        raise DataError(masks, f"{len(classes.names)} classes; a mask tells at most 256 apart")
    return replace(paired_split(pairs, classes, origin=str(images)), notes=notes)


def paired_split(pairs: Iterable[tuple[Path, Path]], classes: ClassNames, *, origin: str) -> Split:
    """A segmentation split of (image, mask) files."""
    return Split(
        samples=tuple(Sample(name=image.name, image=image, target=mask) for image, mask in pairs),
        task="segment",
        classes=classes.names,
        palette=classes.palette,
        ignore_index=classes.ignore_index,
        mask_table=classes.mask_table,
        mask_colours=classes.mask_colours,
        origin=origin,
    )


def _found_classes(folder: Path, masks: list[Path]) -> tuple[ClassNames, str]:
    """Classes named by the values of these masks, and what a person should know of them."""
    found = np.zeros(256, dtype=np.bool_)
    shown: dict[int, tuple[int, int, int]] = {}  # the colour of a value, by the first palette that shows it
    for path in masks:
        mask = read_mask(path)
        used = _values(path, mask)
        found[used] = True
        palette = () if mask.palette is None else mask.palette
        for value in used:
            if value < len(palette) and value not in shown:
                red, green, blue = (int(channel) for channel in palette[value])
                shown[value] = red, green, blue
    values = [int(value) for value in np.flatnonzero(found)]
    if values == [0, NO_CLASS]:
        classes = ClassNames(names=("class_0", "class_1"), mask_table=_binary_table(0, 1))
        return classes, "masks of 0 and 255 alone: two classes, class_0 and class_1 (255)"
    values = [value for value in values if value != NO_CLASS]
    told = ", ".join(str(value) for value in values[:20]) + (", ..." if len(values) > 20 else "")
    cure = (
        "give --classes FILE (`classes = FILE`) with a line `value<TAB>name` for each class, `value<TAB>void` for none"
    )
    if len(values) < 2:
        raise DataError(folder, f"one class is nothing to learn: the masks hold {told or 'void (255) alone'}")
    if len(values) > MOST_UNNAMED:
        raise DataError(
            folder, f"{len(values)} different values: photographs, or edges that were smoothed? If not, {cure}"
        )
    if values != list(range(len(values))):
        raise DataError(folder, f"the masks hold the values {told}, with gaps: {cure}")
    names = tuple(f"class_{value}" for value in values)
    colours = tuple(shown[value] for value in values) if all(value in shown for value in values) else ()
    void = " and void (255)" if found[NO_CLASS] else ""
    note = f"no file of classes: {len(names)} classes from the values found, {names[0]} to {names[-1]}{void}"
    return ClassNames(names=names, palette=colours, ignore_index=NO_CLASS), note


def _binary_classes(folder: Path, masks: list[Path], classes: ClassNames) -> ClassNames:
    """The classes as they are, or with 255 as the second of two where the masks hold nothing but 0 and 255."""
    if classes.mask_table is not None:
        return classes
    found: set[int] = set()
    for path in masks:  # one mask, where it holds anything else
        mask = read_mask(path)
        if mask.pixels.ndim == 3 and (mask.pixels != mask.pixels[:, :, :1]).any():
            return classes
        found |= set(np.flatnonzero(np.bincount(mask.pixels.ravel(), minlength=256)).tolist())
        if not found <= {0, NO_CLASS}:
            return classes
    if NO_CLASS not in found or len(classes.names) > NO_CLASS:
        return classes
    drawn = classes.mask_colours or tuple((*colour, index) for index, colour in enumerate(classes.palette))
    meaning = {tuple(colour): index for *colour, index in drawn}
    if _BLACK in meaning and _WHITE in meaning:
        return replace(classes, mask_table=_binary_table(meaning[_BLACK], meaning[_WHITE]))
    if len(classes.names) == 2 and classes.ignore_index is None:
        return replace(classes, mask_table=_binary_table(0, 1))
    cure = "save the class that is 255 by its index" if classes.ignore_index == NO_CLASS else "name two classes"
    raise DataError(
        folder,
        f"masks of 0 and 255 alone, for {len(classes.names)} classes: 255 is not a class where others are named; {cure}"
        ", or give a file of classes with `background 0,0,0` and `NAME 255,255,255`",
    )


def _binary_table(black: int, white: int) -> tuple[int, ...]:
    return (black, *[REFUSED] * 254, white)


def _values(path: Path, mask: MaskPixels) -> list[int]:
    pixels = mask.pixels if mask.pixels.ndim == 2 else one_channel(path, mask.pixels)
    return [int(value) for value in np.flatnonzero(np.bincount(pixels.ravel(), minlength=256))]
