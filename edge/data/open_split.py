"""The one way in for every verb: from what a user named on the command line to a Split.

--images FOLDER                       images alone (calibration, camera), or one folder per class
--images FOLDER --labels FILE         classification: a class per image, or independent labels
--images FOLDER --masks FOLDER        segmentation
--split FILE.split.json               a pinned split
--split camvid:ROOT:val               also cityscapes:ROOT:val
--split generated:classify:val        also generated:attributes:val (independent labels), generated:segment:train;
                                      generated:classify:val:200 for 200 samples
--split recipe:RUN:val                what a run, or a recipe by file or name, validates on; also its train
"""

from collections.abc import Callable
from pathlib import Path

from edge.data.class_names import ClassNames, read_class_names
from edge.data.generated import generated_split
from edge.data.held_out_check import require_as_held_out, validated_on
from edge.data.image_folder import image_folder
from edge.data.mask_folder import mask_folder
from edge.data.scenes import camvid, cityscapes
from edge.data.split_file import read_split
from edge.data.splits import Split
from edge.errors import DataError, UsageError, unknown_name
from edge.files.bounded_file import is_file


def open_split(
    *,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    masks: str | Path | None = None,
    split: str | Path | None = None,
    classes: str | Path | ClassNames | None = None,
    option: str = "--split",
    skip_damaged: bool = False,
) -> Split:
    """Open the split that a request names.

    Args:
        images, labels, masks: folders and the label file, as in the module's table.
        split: a pinned split file, or KIND:ROOT:PART.
        classes: a class file or names for `images`; a split brings its own.
        option: what the request calls `split`, for the messages.
        skip_damaged: of a recipe's split, which is looked at here: omit damaged images (`edge.data.damaged`).

    Refused: both `images` and `split`, neither, `labels` or `masks` without `images`, both of them, an unknown kind.
    """
    given = {"labels": labels, "masks": masks, "classes": classes}
    if split is not None:
        clash = [f"--{name}" for name, value in {"images": images, **given}.items() if value is not None]
        if clash:
            raise UsageError(f"{option} says everything about a split; omit {', '.join(clash)}")
        return _named_split(str(split), option, skip_damaged)
    if images is None:
        alone = [f"--{name}" for name, value in given.items() if value is not None]
        raise UsageError(f"{', '.join(alone)} without --images" if alone else "no data: give --images or " + option)
    if labels is not None and masks is not None:
        raise UsageError("--labels is for classification, --masks for segmentation: give one of them")
    names = classes if isinstance(classes, ClassNames) or classes is None else read_class_names(Path(classes))
    if masks is not None:
        return mask_folder(Path(images), Path(masks), names)
    if names is not None and names.mask_table is not None and not isinstance(classes, ClassNames):
        raise DataError(str(classes), "numbers that are not 0, 1, 2, ... (void at the end) are for masks: give --masks")
    return image_folder(Path(images), Path(labels) if labels is not None else None, names)


def _named_split(name: str, option: str, skip_damaged: bool) -> Split:
    kind, colon, rest = name.partition(":")
    if not colon or is_file(name):
        return read_split(Path(name))
    if kind == "recipe":
        return _recipe(name, rest, skip_damaged)
    if kind not in _KINDS:
        raise UsageError(f"{option} {name}: {unknown_name('kind of split', kind, [*_KINDS, 'recipe'])}")
    return _KINDS[kind](name, rest)


def _folder_part(opener: Callable[[Path, str], Split]) -> Callable[[str, str], Split]:
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


def _recipe(name: str, rest: str, skip_damaged: bool) -> Split:
    # Here and not above: a recipe's splits are opened by this module, and a device reads no recipe.
    from edge.data.recipe_splits import recipe_part
    from edge.recipe.recipe_file import read_recipe
    from edge.recipe.shipped_recipes import find_recipe

    file, colon, part = rest.rpartition(":")
    if not file or not colon:
        raise UsageError(f"{name}: expected recipe:RUN:PART, such as recipe:runs/own:val")
    of_run = Path(file) / "recipe.toml"
    path = of_run if is_file(of_run) else find_recipe(file)
    data = read_recipe(path).data
    split = recipe_part(data.model_copy(update={"skip_damaged": data.skip_damaged or skip_damaged}), part, name)
    if part == "val" and data.holdout is not None:
        require_as_held_out(split, validated_on(path.with_name("metrics.jsonl")), path.parent)
    return split


_KINDS: dict[str, Callable[[str, str], Split]] = {
    "camvid": _folder_part(camvid),
    "cityscapes": _folder_part(cityscapes),
    "generated": _generated,
}
