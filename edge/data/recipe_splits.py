"""The splits of a recipe: what it trains on and what it validates on."""

from dataclasses import replace
from pathlib import Path

from edge.artifact.model_file import name_problem
from edge.data.damaged import without_damaged
from edge.data.hold_out import hold_out
from edge.data.model_classes import labels_of, model_classes
from edge.data.plain_split import open_plain_split
from edge.data.splits import Split
from edge.errors import DataError, UsageError, unknown_name
from edge.recipe.recipe import Data, SplitSource
from edge.recipe.recipe_file import split_arguments

PARTS = ("train", "val")
_TASKS = {"labels": "classify", "masks": "segment", "boxes": "detect"}


def recipe_splits(data: Data) -> tuple[Split, Split | None]:
    """What is trained on, and what is validated on: `val`, or what `holdout` takes from `train`, or nothing.

    Refuses (DataError) class names that no file for a device can hold: better before training than after it.
    """
    train = _opened(data.train, data)
    if problem := name_problem(train.classes):
        raise DataError(train.origin, problem)
    if data.holdout is not None:
        kept, held = hold_out(_usable(train, data), data.holdout, data.holdout_seed)
        return kept, replace(held, origin=f"{held.origin} (held out)")
    val = None if data.val is None else _opened(data.val, data, train)
    if val is not None and train.task == val.task and val.classes != train.classes:
        ours, theirs = (", ".join(split.classes[:5]) for split in (train, val))
        raise UsageError(
            f"{val.origin} has other classes ({theirs}) than {train.origin} ({ours}); give both the same file of "
            "class names: classes, or --classes FILE"
        )
    return _usable(train, data), None if val is None else _usable(val, data)


def validation_split(data: Data) -> Split | None:
    """What is validated on; None where the recipe names nothing."""
    if data.holdout is not None:
        return recipe_splits(data)[1]
    if data.val is None:
        return None
    like = _opened(data.train, data) if _names_no_classes(data.val) else None
    return _usable(_opened(data.val, data, like), data)


def recipe_part(data: Data, part: str, where: str | Path) -> Split:
    """`train` or `val`. Refuses (UsageError, after `where`) another part, and the `val` of a recipe that has none."""
    if part not in PARTS:
        raise UsageError(f"{where}: {unknown_name('part', part, PARTS)}")
    split = recipe_splits(data)[0] if part == "train" else validation_split(data)
    if split is None:
        raise UsageError(f"{where}: names no validation split: neither data.val nor data.holdout")
    return split


def _opened(source: SplitSource, data: Data, like: Split | None = None) -> Split:
    """A split. Class folders, label files, masks and boxes that name no classes have those of `like`."""
    arguments = split_arguments(source, data.root)
    if like is not None and like.task == _task(source) and _names_no_classes(source):
        arguments["classes"] = model_classes(labels_of(like))
    return open_plain_split(**arguments, more_kinds={"recipe": _not_from_a_recipe})


def _not_from_a_recipe(name: str, rest: str) -> Split:
    raise UsageError(f"'{name}': a recipe's splits are not another recipe's; name what that one names")


def _names_no_classes(source: SplitSource) -> bool:
    return source.images is not None and source.classes is None


def _task(source: SplitSource) -> str:
    """The task of images with these targets; images alone are in class folders."""
    given = source.model_dump(exclude_none=True)
    return next((task for target, task in _TASKS.items() if target in given), "classify")


def _usable(split: Split, data: Data) -> Split:
    return without_damaged(split, skip=data.skip_damaged)
