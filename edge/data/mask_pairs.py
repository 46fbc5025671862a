"""Which mask belongs to which image, by their names.

A mask is called as its image is (`a.jpg`, `a.png`), as the whole file is (`a.jpg.png`), or has one ending or beginning
more, the same for the whole folder (`a_mask.png`, `a_L.png`, `a_leftImg8bit.png` with `a_gtFine_labelIds.png`).
"""

import re
from collections.abc import Sequence
from pathlib import Path

from edge.data.decode import image_files
from edge.data.mask_file import MASK_SUFFIXES
from edge.errors import DataError
from edge.files.bounded_file import check_folder, folder_entries, is_file

MOST_NAMED = 20
LOOKED_AT = 20  # images, for what is common to the names
_IMAGE_ENDINGS = ("", "_leftImg8bit", "_image", "_img", "_rgb", "_sat")
_IMAGE_BEGINNINGS = ("", "image_", "img_")
_ENDING = re.compile(r"[-_. ]\w*[^\W\d_][-\w. ]*")  # a separator, and a letter somewhere: `_1` is another frame
_BEGINNING = re.compile(r"[-\w. ]*[^\W\d_]\w*[-_. ]")


def mask_pairs(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Every image of a folder with its mask, in the order of the images' names; other masks are omitted.

    Refused (DataError): both in one folder, images without a mask (all of them named), two masks for an image, masks
    whose names could be meant in more than one way.
    """
    check_folder(masks, what="folder of masks", error=DataError)
    pictures = image_files(images)
    if not pictures:
        raise DataError(images, "no images in this folder")
    if images.resolve() == masks.resolve():
        raise DataError(masks, "holds images and masks together: which is which is not said; move the masks elsewhere")
    files = [path for path in folder_entries(masks, error=DataError) if is_file(path) and path.name[0] != "."]
    by_stem: dict[str, list[Path]] = {}
    for path in files:
        if path.suffix.lower() in MASK_SUFFIXES:
            by_stem.setdefault(path.stem, []).append(path)
    named = _names(pictures, masks, by_stem)
    if missing := [image for image in pictures if named.get(image) not in by_stem]:
        raise _missing(masks, missing, len(pictures), files)
    pairs = []
    for image in pictures:
        mask, *others = by_stem[named[image]]
        if others:
            raise DataError(mask, f"is one mask of {image.name}, {others[0].name} another; leave one")
        pairs.append((image, mask))
    return pairs


def _names(pictures: Sequence[Path], masks: Path, by_stem: dict[str, list[Path]]) -> dict[Path, str]:
    """The mask's name without its suffix, by image; an image whose mask is missing may be omitted."""
    for named in ({image: image.stem for image in pictures}, {image: image.name for image in pictures}):
        if any(name in by_stem for name in named.values()):
            return named
    forms = {
        (start, end, *form)
        for image in pictures[:LOOKED_AT]
        for start in _IMAGE_BEGINNINGS
        for end in _IMAGE_ENDINGS
        if (core := _core(image.stem, start, end))
        for stem in by_stem
        if (form := _form(core, stem))
    }
    found: list[dict[Path, str]] = []  # by form, but each way of naming once
    for start, end, before, after in sorted(forms):
        cores = {image: _core(image.stem, start, end) for image in pictures}
        named = {image: name for image, core in cores.items() if core and (name := before + core + after) in by_stem}
        if named not in found:
            found.append(named)
    most = [named for named in found if len(named) == max(map(len, found))]
    if len(most) > 1:
        image = next(iter(most[0]))
        told = ", ".join(sorted({named[image] for named in most if image in named}))
        raise DataError(masks, f"{image.name} has more than one mask by its name: {told}; leave one kind")
    return most[0] if most else {}


def _core(stem: str, start: str, end: str) -> str:
    """What an image is called without these words; nothing where it has not got them."""
    return stem[len(start) : len(stem) - len(end)] if stem.startswith(start) and stem.endswith(end) else ""


def _form(core: str, stem: str) -> tuple[str, str] | None:
    """What stands before and after an image's name in a mask's, where that is all of a word."""
    if stem.startswith(core) and (_ENDING.fullmatch(stem[len(core) :])):
        return "", stem[len(core) :]
    if stem.endswith(core) and _BEGINNING.fullmatch(stem[: len(stem) - len(core)]):
        return stem[: len(stem) - len(core)], ""
    return ("", "") if stem == core else None


def _missing(masks: Path, missing: Sequence[Path], images: int, files: Sequence[Path]) -> DataError:
    told = ", ".join(image.name for image in missing[:MOST_NAMED])
    more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
    count = f"{len(missing)} of {images} images have no mask" if len(missing) > 1 else "the mask is missing"
    stems = {image.stem for image in missing}
    strange = [path.name for path in files if path.suffix.lower() not in MASK_SUFFIXES]
    named = [name for name in strange if Path(name).stem in stems]
    other = next(iter(named or (strange if len(strange) == len(files) else [])), None)
    found = f"{other} is there, but a mask is one of {', '.join(MASK_SUFFIXES)}" if other else ""
    if other and Path(other).suffix.lower() in (".jpg", ".jpeg", ".webp"):
        found += "; its kind changes class indices: save it as PNG"
    return DataError(masks, f"{count}: {told}{more}" + (f"; {found}" if found else ""))
