"""The one way in for every verb: from what a user named on the command line to a Split.

```text
--images FOLDER                       images alone (calibration, camera), or one folder per class
--images FOLDER --labels FILE         classification: a class per image, or independent labels
--images FOLDER --masks FOLDER        segmentation
--images FOLDER --boxes FILE|FOLDER   detection: COCO JSON, Pascal VOC's XML, YOLO's text files
--split FILE.split.json               a pinned split
--split camvid:ROOT:val               also cityscapes:ROOT:val, voc:ROOT:val
--split generated:classify:val        also generated:attributes:val (independent labels), generated:segment:train,
                                      generated:detect:train; generated:classify:val:200 for 200 samples
--split recipe:RUN:val                what a run, or a recipe by file or name, validates on; also its train
```
"""

from functools import partial
from pathlib import Path

from edge.data.class_names import ClassNames
from edge.data.held_out_check import require_as_held_out, validated_on
from edge.data.plain_split import KINDS, open_plain_split
from edge.data.recipe_splits import recipe_part
from edge.data.splits import Split
from edge.errors import UsageError
from edge.files.bounded_file import is_file
from edge.recipe.recipe_file import read_recipe
from edge.recipe.shipped_recipes import find_recipe

SPLIT_KINDS = frozenset({*KINDS, "recipe"})
"""What `--split` and the camera's `--source` begin with where they name no file: KIND:..."""


def open_split(
    *,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    masks: str | Path | None = None,
    boxes: str | Path | None = None,
    split: str | Path | None = None,
    classes: str | Path | ClassNames | None = None,
    option: str = "--split",
    skip_damaged: bool = False,
) -> Split:
    """Open the split that a request names.

    Args:
        images, labels, masks, boxes: folders and files, as in the module's table.
        split: a pinned split file, or KIND:ROOT:PART.
        classes: a class file or names for `images`; a split brings its own.
        option: what the request calls `split`, for the messages.
        skip_damaged: of a recipe's split, which is looked at here: omit damaged images (`edge.data.damaged`).

    Refused: both `images` and `split`, neither; `labels`, `masks` or `boxes` without `images`, more than one of them;
    an unknown kind.
    """
    return open_plain_split(
        images=images,
        labels=labels,
        masks=masks,
        boxes=boxes,
        split=split,
        classes=classes,
        option=option,
        more_kinds={"recipe": partial(_recipe, skip_damaged)},
    )


def _recipe(skip_damaged: bool, name: str, rest: str) -> Split:
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
