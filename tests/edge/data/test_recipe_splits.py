"""A recipe's splits can be asked for by their part, from anywhere that takes a split."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.data.open_split import open_split
from edge.data.recipe_splits import recipe_splits
from edge.errors import DataError, UsageError
from edge.recipe.recipe import Data, SplitSource
from tests.support.box_files import annotation, coco_image, save_images, write_coco
from tests.support.preprocess_text import preprocess_text

RECIPE = (
    """
name = "r"
[model]
name = "mobilenet_v2"
[data]
train = "generated:classify:train:40"
{more}
"""
    + preprocess_text()
    + """[train]
epochs = 1
batch_size = 8
learning_rate = 0.1
"""
)


def test_the_held_out_part_and_the_rest_are_the_whole(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE.format(more="holdout = 0.25\nholdout_seed = 3"))
    parts = [open_split(split=f"recipe:{tmp_path}:{part}") for part in ("train", "val")]
    whole = open_split(split="generated:classify:train:40")
    names = [{sample.name for sample in split.samples} for split in (*parts, whole)]
    assert names[0] | names[1] == names[2] and not names[0] & names[1]
    assert parts[1].origin == "generated:classify:train (held out)"


def test_a_shipped_recipe_s_split_is_found_by_name() -> None:
    assert len(open_split(split="recipe:fast_scnn_generated:val")) == 60


@pytest.mark.parametrize(
    ("more", "asked", "said"),
    [
        ("", "val", "names no validation split"),
        ("", "test", "unknown part 'test'"),
        ('val = "recipe:{file}:val"', "val", "a recipe's splits are not another recipe's"),
        ('val = "generated:classify:val:4"\nholdout = 0.2', "val", "give val or holdout, not both"),
        ("holdout = 1.0", "val", "holdout = 1.0"),
    ],
)
def test_what_a_recipe_has_not_is_refused(more: str, asked: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text(RECIPE.format(more=more.format(file=file)))
    with pytest.raises(UsageError) as caught:
        open_split(split=f"recipe:{file}:{asked}")
    assert said in str(caught.value)


def test_what_is_validated_on_has_the_classes_that_are_trained_on(tmp_path: Path) -> None:
    for folder, names in (("train", "abc"), ("val", "ac")):
        for name in names:
            (tmp_path / folder / name).mkdir(parents=True)
            cv2.imwrite(str(tmp_path / folder / name / "x.png"), np.zeros((8, 8, 3), np.uint8))
    text = RECIPE.replace(
        '"generated:classify:train:40"', "{{images = '{root}/train'}}\nval = {{images = '{root}/val'}}"
    )
    (tmp_path / "recipe.toml").write_text(text.format(root=tmp_path, more=""))
    val = open_split(split=f"recipe:{tmp_path}:val")
    assert (val.classes, [val.label(index) for index in range(2)]) == (("a", "b", "c"), [0, 2])
    (tmp_path / "val/a").rename(tmp_path / "val/d")
    for part in ("train", "val"):
        with pytest.raises(DataError, match="unknown class 'd'; known: a, b, c"):
            open_split(split=f"recipe:{tmp_path}:{part}")


def test_masks_that_are_validated_on_mean_what_the_trained_ones_mean(tmp_path: Path) -> None:
    values = {"train": (0, 1, 255), "val": (0, 0, 255)}  # alone, 0 and 255 would be two classes
    for part, rows in values.items():
        for folder, pixels in (("images", np.zeros((3, 3, 3), np.uint8)), ("masks", np.array([rows] * 3, np.uint8))):
            (tmp_path / part / folder).mkdir(parents=True)
            cv2.imwrite(str(tmp_path / part / folder / "x.png"), pixels)
    train = f"{{images = '{tmp_path}/train/images', masks = '{tmp_path}/train/masks'}}"
    text = RECIPE.replace('"generated:classify:train:40"', f"{train}\nval = {train.replace('/train/', '/val/')}")
    (tmp_path / "recipe.toml").write_text(text.replace("{more}", ""))
    with pytest.raises(DataError, match="255 is not a class where others are named"):
        open_split(split=f"recipe:{tmp_path}:val")


@pytest.mark.parametrize("name", ["two\nlines", "esc\x1b[31m", "cat "])
def test_a_class_name_that_no_file_can_hold_is_refused_before_training(name: str, tmp_path: Path) -> None:
    save_images(tmp_path / "images", "a.png")
    categories = [{"id": 1, "name": name}]
    boxes = write_coco(tmp_path / "c.json", [coco_image(1, "a.png")], [annotation(1, 1, [0, 0, 5, 5])], categories)
    source = SplitSource(images=str(tmp_path / "images"), boxes=str(boxes))
    with pytest.raises(DataError, match=r"c\.json: class name 0 is .*take out line breaks"):
        recipe_splits(Data(train=source))
