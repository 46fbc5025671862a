"""A training of one's own images, asked for without a recipe: its recipe."""

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from edge.data.image_tree import parts
from edge.data.open_split import open_split
from edge.data.splits import Split
from edge.errors import DataError, UsageError
from edge.models.registry import task_of
from edge.recipe.recipe import Data, Recipe
from edge.recipe.recipe_file import split_arguments
from edge.training.own_recipe import HOLDOUT, Images, own_recipe
from edge.training.starting_weights import starting_weights
from edge.vision.map_positions import size_text
from edge.vision.pixel_scale import pixel_scale_doubt

MOST_MEASURED = 15


@dataclass(frozen=True, kw_only=True)
class OwnImages:
    """What was asked for: folders and files, the network, the weights to start from, and the share to hold out."""

    images: str
    labels: str | None = None
    masks: str | None = None
    boxes: str | None = None
    classes: str | None = None
    val_images: str | None = None
    val_labels: str | None = None
    val_masks: str | None = None
    val_boxes: str | None = None
    model: str | None = None
    init: str | None = None
    holdout: float = HOLDOUT


def recipe_for(asked: OwnImages, overrides: Sequence[str]) -> tuple[Recipe, tuple[str, ...]]:
    """The whole recipe, and what was chosen, and why, in a line each.

    Raises:
        UsageError: images without classes, a network for another task, weights that do not fit or say too little.
    """
    for name, value in asdict(asked).items():
        if value == "":  # an unset variable of a shell; as a path it would be the working directory
            raise UsageError(f"--{name.replace('_', '-')} is empty")
    divided = parts(Path(asked.images)) if _names_images_alone(asked) else {}
    data = _data(asked, divided)
    train = open_split(**split_arguments(data.train, data.root))  # looked at as a whole when training begins
    if not train.has_targets:
        raise UsageError(
            f"{train.origin}: images alone, nothing to learn; give one folder per class, --labels, --masks or --boxes"
        )
    if asked.model is not None and task_of(asked.model) != train.task:
        raise UsageError(f"{train.origin} is for '{train.task}', {asked.model} for '{task_of(asked.model)}'")
    weights, notes = None, []
    if "train" in divided:
        used = "trains on 'train', validates on " + ("'val'" if "val" in divided else "a part of it that is held out")
        left = f"; {divided['test']} is left for `edge eval`" if "test" in divided else ""
        notes.append(f"{asked.images}: is divided already: {used}{left}")
    if asked.init is not None:
        weights, taken = starting_weights(asked.init, asked.model, train.task)
        notes.append(taken)
    images = Images(
        task=train.task,
        classes=len(train.classes),
        count=len(train),
        independent=train.scores == "independent",
        size_hw=_size_hw(train) if train.has_masks else None,
    )
    recipe = own_recipe(data, images, model=asked.model, weights=weights, overrides=overrides)
    if doubt := pixel_scale_doubt(recipe.preprocess.mean, recipe.preprocess.std):
        notes.append(f"note: [preprocess] {doubt}")
    return recipe, (*notes, _summary(recipe))


def _names_images_alone(asked: OwnImages) -> bool:
    return (asked.labels or asked.masks or asked.boxes or asked.val_images) is None


def _data(asked: OwnImages, divided: Mapping[str, Path]) -> Data:
    train = {
        name: _recorded(value)
        for name in ("images", "labels", "masks", "boxes", "classes")
        if (value := getattr(asked, name)) is not None
    }
    val = {
        name: _recorded(value)
        for name in ("images", "labels", "masks", "boxes")
        if (value := getattr(asked, f"val_{name}")) is not None
    }
    if "train" in divided:
        train["images"] = _recorded(str(divided["train"]))
        val = {"images": _recorded(str(divided["val"]))} if "val" in divided else {}
    if val and asked.classes is not None:
        val["classes"] = train["classes"]
    plain: dict[str, object] = {"train": train, **({"val": val} if val else {})}
    if not val and asked.holdout > 0:
        plain["holdout"] = asked.holdout
    if asked.holdout >= 1:
        raise UsageError("--holdout is a share below 1")
    return Data.model_validate(plain)


def _recorded(path: str) -> str:
    """A path as a recipe can hold it: from anywhere, and read back as it is written."""
    whole = os.path.abspath(path)
    if re.search(r"\$\{\w+\}", whole) or not whole.isprintable():
        raise UsageError(f"{whole}: a recipe cannot hold this name; give the folder or file another one")
    return whole


def _size_hw(split: Split) -> tuple[int, int]:
    """The middle height and width of some images, evenly spread."""
    step = -(-len(split) // MOST_MEASURED)
    sizes = []
    for index in range(0, len(split), step):
        with suppress(DataError):  # whoever reads them all names those that are damaged
            sizes.append(split.subset([index]).image(0).shape[:2])
    if not sizes:
        raise DataError(split.origin, "not one of its images can be read")
    height, width = np.median(np.array(sizes), axis=0)
    return int(height), int(width)


def _summary(recipe: Recipe) -> str:
    network = recipe.model
    size = size_text((recipe.preprocess.height, recipe.preprocess.width))
    start = "random weights" if recipe.train.init is None else recipe.train.init
    epochs = f"{recipe.train.epochs} epoch{'s' * (recipe.train.epochs != 1)}" + (
        f", then {recipe.qat.epochs} quantization-aware" if recipe.qat else ""
    )
    return f"{network.name} at {size} for {network.arguments['classes']} classes, from {start}, {epochs}"
