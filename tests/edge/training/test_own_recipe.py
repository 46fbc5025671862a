"""A training that was asked for without a recipe gets a whole one, which reads back as itself."""

from dataclasses import replace
from pathlib import Path

import pytest

from edge.errors import RecipeError, UsageError
from edge.recipe.recipe import Data, Recipe
from edge.recipe.recipe_file import read_recipe, recipe_toml
from edge.training.own_recipe import TRAINING, Images, Weights, own_recipe, segmenter_size_hw

DATA = Data.model_validate({"train": {"images": "photos"}, "holdout": 0.2})
PHOTOS = Images(task="classify", classes=6, count=121)
MASKS = Images(task="segment", classes=3, count=40, size_hw=(720, 1280))
BOXES = Images(task="detect", classes=3, count=205)
OF_TASK = {"classify": PHOTOS, "segment": MASKS, "detect": BOXES}
FOLDED = Weights(
    path="w.safetensors",
    model="mobilenet_v1",
    arguments={"width": 0.5},
    preprocess={"mean": [127.5] * 3, "std": [127.5] * 3},
)


@pytest.mark.parametrize("images", [PHOTOS, MASKS, BOXES])
def test_the_resolved_recipe_reads_back_as_itself(images: Images, tmp_path: Path) -> None:
    recipe = own_recipe(DATA, images, overrides=["train.epochs=3"])
    (tmp_path / "recipe.toml").write_text(recipe_toml(recipe))
    assert read_recipe(tmp_path / "recipe.toml") == recipe
    assert (recipe.train.epochs, recipe.train.init, recipe.data.holdout) == (3, None, 0.2)


def test_images_and_weights_decide_on_the_network() -> None:
    def network(recipe: Recipe) -> tuple[object, ...]:
        return recipe.model.name, recipe.model.arguments["classes"], recipe.preprocess.height, recipe.preprocess.width

    assert network(own_recipe(DATA, PHOTOS)) == ("mobilenet_v2", 6, 224, 224)
    assert network(own_recipe(DATA, MASKS)) == ("fast_scnn", 3, 288, 512)
    assert network(own_recipe(DATA, BOXES)) == ("mobilenet_v2_ssdlite", 3, 320, 320)
    assert network(own_recipe(DATA, BOXES, overrides=["model.resolution=192"])) == ("mobilenet_v2_ssdlite", 3, 192, 192)
    assert network(own_recipe(DATA, PHOTOS, overrides=["model.resolution=128"])) == ("mobilenet_v2", 6, 128, 128)
    tuned = own_recipe(DATA, PHOTOS, weights=FOLDED)
    assert network(tuned) == ("mobilenet_v1", 6, 224, 224) and tuned.model.arguments["width"] == 0.5
    assert tuned.train.init == "w.safetensors" and tuned.train.reset_head


@pytest.mark.parametrize(("start", "task"), TRAINING)
def test_every_situation_has_a_recipe(start: str, task: str) -> None:
    weights = FOLDED if start == "pretrained" else None
    networks = {"classify": "mobilenet_v2", "segment": "fast_scnn", "detect": "mobilenet_v1_ssdlite"}
    recipe = own_recipe(DATA, OF_TASK[task], model=networks[task], weights=weights)
    assert recipe.qat is not None and (recipe.train.init is None) == (start == "random")


def test_a_segmenter_on_a_classifiers_weights_has_no_auxiliary_heads_to_weigh() -> None:
    recipe = own_recipe(DATA, MASKS, weights=replace(FOLDED, model="deeplab_mobilenet_v1"))
    assert recipe.model.arguments == {"width": 0.5, "resolution_hw": [288, 512], "classes": 3}
    assert recipe.train.auxiliary_weight == 0 and recipe.train.reset_head
    assert own_recipe(DATA, MASKS).train.auxiliary_weight > 0


def test_a_detector_on_a_classifiers_weights_keeps_its_first_layers_and_has_live_statistics() -> None:
    """Of few images it sees each more often; the head is its own; without validation nothing is compared."""
    recipe = own_recipe(DATA, BOXES, weights=replace(FOLDED, model="mobilenet_v1_ssdlite"))
    assert recipe.train.frozen_blocks == 4 and recipe.train.reset_head
    assert recipe.train.freeze_batch_norm_epoch == 200 and recipe.train.epochs == 48  # 1,200 steps of 8
    assert own_recipe(DATA, BOXES).train.frozen_blocks == 0
    assert own_recipe(DATA, replace(BOXES, count=5000)).train.epochs == 40
    alone = own_recipe(DATA.model_copy(update={"holdout": None}), BOXES)
    assert recipe.train.keep == "best" and alone.train.keep == "last"


def test_a_segmenter_sees_few_images_more_often() -> None:
    def epochs(count: int) -> int:
        return own_recipe(DATA, replace(MASKS, count=count)).train.epochs

    assert (epochs(367), epochs(40), epochs(3)) == (20, 180, 200)
    assert own_recipe(DATA, MASKS, overrides=["train.epochs=7"]).train.epochs == 7


def test_a_segmenter_trains_on_windows_of_its_input_that_the_network_takes() -> None:
    assert own_recipe(DATA, MASKS).train.crop_hw == (232, 408)
    small = own_recipe(DATA, MASKS, overrides=["model.resolution_hw=[64, 96]"])
    assert (small.preprocess.height, small.train.crop_hw) == (64, (64, 80))
    assert own_recipe(DATA, MASKS, overrides=["train.crop_hw=[128, 128]"]).train.crop_hw == (128, 128)


def test_a_short_training_rises_for_a_quarter_of_it_at_most() -> None:
    assert own_recipe(DATA, PHOTOS, overrides=["train.epochs=2"]).train.warmup_epochs <= 0.5
    asked = own_recipe(DATA, PHOTOS, overrides=["train.epochs=2", "train.warmup_epochs=1"])
    assert asked.train.warmup_epochs == 1


def test_the_size_of_a_segmenter_is_one_that_the_network_takes() -> None:
    assert segmenter_size_hw((360, 480)) == (360, 480)
    assert segmenter_size_hw((3000, 4000)) == (384, 512)
    assert segmenter_size_hw((20, 2000)) == (64, 512)


def test_deeplab_gets_multiples_of_its_output_stride() -> None:
    """Elsewhere crops and whole images would lie differently under the positions of the logits."""
    atrous = own_recipe(DATA, replace(MASKS, size_hw=(360, 480)), model="deeplab_mobilenet_v2")
    assert (atrous.preprocess.height, atrous.preprocess.width, atrous.train.crop_hw) == (352, 480, (288, 384))
    assert atrous.model.arguments["resolution_hw"] == [352, 480]


def test_what_does_not_hold_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to learn from images alone"):
        own_recipe(DATA, Images(task="images", classes=0, count=9))
    with pytest.raises(UsageError, match=r"w.pth: does not say how pixels become its input"):
        own_recipe(DATA, PHOTOS, weights=Weights(path="w.pth", model="mobilenet_v2"))
    for override in ("model=3", "preprocess=3", "model.resolution_hw=5", "model.resolution=x", "train.epoch=3"):
        with pytest.raises((UsageError, RecipeError)):
            own_recipe(DATA, PHOTOS, overrides=[override])
