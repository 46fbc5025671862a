"""Opening what a user named of files, folders and drawn images; a kind that needs more than that is handed in."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from edge.data.box_folder import box_folder
from edge.data.class_names import ClassNames
from edge.data.generated import generated_split
from edge.data.image_folder import image_folder
from edge.data.mask_folder import mask_folder
from edge.data.pascal_voc import pascal_voc
from edge.data.scenes import camvid, cityscapes
from edge.data.split_file import read_split
from edge.data.splits import Split
from edge.data.yolo_names import read_names
from edge.errors import DataError, UsageError, unknown_name
from edge.files.bounded_file import is_dir, is_file

# (the whole name, what follows the kind's colon) -> the split
SplitKind = Callable[[str, str], Split]


def open_plain_split(
    *,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    masks: str | Path | None = None,
    boxes: str | Path | None = None,
    split: str | Path | None = None,
    classes: str | Path | ClassNames | None = None,
    option: str = "--split",
    more_kinds: Mapping[str, SplitKind] = MappingProxyType({}),
) -> Split:
    """Open the split that a request names, in the words of `edge.data.open_split`.

    Args:
        images, labels, masks, boxes: folders, the label file, and the file or folder of boxes.
        split: a pinned split file, or KIND:ROOT:PART.
        classes: a class file or names for `images`; a split brings its own.
        option: what the request calls `split`, for the messages.
        more_kinds: of `split`, beside those of this module.

    Refused: both `images` and `split`, neither; `labels`, `masks` or `boxes` without `images`, more than one of them;
    an unknown kind.
    """
    targets = {"labels": labels, "masks": masks, "boxes": boxes}
    given = {**targets, "classes": classes}
    if split is not None:
        clash = [f"--{name}" for name, value in {"images": images, **given}.items() if value is not None]
        if clash:
            raise UsageError(f"{option} says everything about a split; omit {', '.join(clash)}")
        return _named_split(str(split), option, {**KINDS, **more_kinds})
    if images is None:
        alone = [f"--{name}" for name, value in given.items() if value is not None]
        raise UsageError(f"{', '.join(alone)} without --images" if alone else "no data: give --images or " + option)
    if sum(value is not None for value in targets.values()) > 1:
        raise UsageError(
            "--labels is for classification, --masks for segmentation, --boxes for detection: give one of them"
        )
    names = classes if isinstance(classes, ClassNames) or classes is None else read_names(Path(classes))
    if masks is not None:
        return mask_folder(Path(images), Path(masks), names)
    if names is not None and names.mask_table is not None and not isinstance(classes, ClassNames):
        raise DataError(str(classes), "numbers that are not 0, 1, 2, ... (void at the end) are for masks: give --masks")
    if boxes is not None:
        return box_folder(Path(images), Path(boxes), names)
    return image_folder(Path(images), Path(labels) if labels is not None else None, names)


def _named_split(name: str, option: str, kinds: Mapping[str, SplitKind]) -> Split:
    kind, colon, rest = name.partition(":")
    if is_dir(name):
        raise UsageError(f"{option} {name}: a folder is no split; --images takes a folder of images")
    if not colon or is_file(name):
        return read_split(Path(name))
    if kind not in kinds:
        raise UsageError(f"{option} {name}: {unknown_name('kind of split', kind, kinds)}")
    return kinds[kind](name, rest)


def _folder_part(opener: Callable[[Path, str], Split]) -> SplitKind:
    def open_part(name: str, rest: str) -> Split:
        root, _, part = rest.rpartition(":")
        if not root or not part:
            raise UsageError(f"{name}: expected KIND:FOLDER:PART, such as camvid:data/camvid:val")
        return opener(Path(root), part)

    return open_part


def _generated(name: str, rest: str) -> Split:
    task, _, part_and_count = rest.partition(":")
    part, _, count = part_and_count.partition(":")
    if count and not (count.isdecimal() and len(count) < 10):
        raise UsageError(f"{name}: the number of samples is '{count}'; expected a whole number below 10^9")
    return generated_split(task, part, int(count) if count else None)


KINDS: dict[str, SplitKind] = {
    "camvid": _folder_part(camvid),
    "cityscapes": _folder_part(cityscapes),
    "generated": _generated,
    "voc": _folder_part(pascal_voc),
}
