"""Another input size leaves every weight; windows and preprocessing follow, a QAT checkpoint's ranges are observed."""

import shlex
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from edge.artifact.model_file import Labels
from edge.errors import UsageError
from edge.quantization.qat.phase import CALIBRATE
from edge.quantization.qat.prepare import QuantizedModel, set_phase
from edge.recipe.recipe import Recipe
from edge.recipe.recipe_file import parse_recipe, read_recipe
from edge.recipe.shipped_recipes import find_recipe
from edge.training.checkpoint import Checkpoint, restore_module
from edge.training.input_size import Observation, at_size, recipe_line, size_note, sized
from edge.training.network import prepared_module
from edge.vision.map_positions import displaced
from edge.vision.preprocess import Preprocess
from tests.edge.training.conftest import classifier_tree, segmenter_tree
from tests.support.networks import with_statistics

LABELS = Labels(names=tuple("abcdefgh"), palette=None, ignore_index=None)


def float_checkpoint(recipe: Recipe) -> Checkpoint:
    return Checkpoint(
        kind="float", recipe=recipe, tensors=with_statistics(recipe).state_dict(), labels=LABELS, metrics={}
    )


def qat_checkpoint(parent: Checkpoint) -> Checkpoint:
    """Prepared and observed on noise, not trained."""
    model = prepared_module(parent.recipe, restore_module(parent))
    set_phase(model, CALIBRATE)
    preprocess = parent.recipe.preprocess
    with torch.no_grad():
        model.train()(torch.rand(2, 3, preprocess.height, preprocess.width) * 2 - 1)
    return Checkpoint(kind="qat", recipe=parent.recipe, tensors=model.state_dict(), labels=LABELS, metrics={})


def noise(preprocess: Preprocess) -> Iterator[npt.NDArray[np.float32]]:
    shape = (2, 3, preprocess.height, preprocess.width)
    yield np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)


@pytest.fixture(scope="module")
def segmenter() -> Checkpoint:
    return float_checkpoint(parse_recipe(segmenter_tree(), "tests"))


@pytest.fixture(scope="module")
def qat_segmenter(segmenter: Checkpoint) -> Checkpoint:
    return qat_checkpoint(segmenter)


def windows(module: nn.Module) -> dict[str, str]:
    return {name: repr(part) for name, part in module.named_modules() if not any(part.children())}


@pytest.mark.unhurried
def test_a_size_changes_the_windows_of_the_pyramid_and_nothing_else(segmenter: Checkpoint) -> None:
    other = at_size(segmenter, (200, 168))
    assert other.tensors is segmenter.tensors and other.trained_hw == (64, 64)
    before, after = restore_module(segmenter), restore_module(other)
    assert all(torch.equal(value, after.state_dict()[name]) for name, value in before.state_dict().items())
    changed = {name for name, text in windows(before).items() if text != windows(after)[name]}
    assert changed == {f"pyramid.pools.{index}" for index in range(4)}
    with torch.no_grad():
        assert after(torch.zeros(1, 3, 200, 168)).shape == (1, 8, 25, 21)
        main, shallow, deep = after.forward_with_auxiliary(torch.zeros(1, 3, 200, 168))  # type: ignore[operator]
    assert (main.shape[2:], shallow.shape[2:], deep.shape[2:]) == ((25, 21), (25, 21), (7, 6))


def test_of_the_recipe_only_the_input_changes(segmenter: Checkpoint) -> None:
    before, after = segmenter.recipe.model_dump(), sized(segmenter, (72, 96)).recipe.model_dump()
    assert after["model"].pop("resolution_hw") == [72, 96] and before["model"].pop("resolution_hw") == [64, 64]
    assert (after["preprocess"].pop("height"), after["preprocess"].pop("width")) == (72, 96)
    assert before["preprocess"].pop("height") == before["preprocess"].pop("width") == 64
    assert before == after


@pytest.mark.unhurried
@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2", "deeplab_mobilenet_v2"])
def test_global_pools_follow_the_size(name: str) -> None:
    tree = classifier_tree()
    tree["model"] = {"name": name, "classes": 8, "width": 0.25}
    tree["preprocess"] |= {"height": 64, "width": 64}
    tree["model"] |= {"resolution_hw": [64, 64]} if name.startswith("deeplab") else {"resolution": 64}
    other = at_size(float_checkpoint(parse_recipe(tree, "tests")), (96, 96))
    with torch.no_grad():
        assert restore_module(other)(torch.zeros(1, 3, 96, 96)).shape[:2] == (1, 8)


@pytest.mark.unhurried
def test_the_ranges_of_a_qat_checkpoint_are_observed_again_and_its_weights_stay(qat_segmenter: Checkpoint) -> None:
    other = at_size(qat_segmenter, (96, 128), Observation(batches=noise))
    same = {name for name, value in qat_segmenter.tensors.items() if torch.equal(value, other.tensors[name])}
    changed = qat_segmenter.tensors.keys() - same
    assert changed and all(name.startswith("quantizers.") for name in changed)
    module = restore_module(other)
    assert isinstance(module, QuantizedModel)
    first = module.graph.inputs[0]
    ranges = {name.split(".")[1] for name in changed if name.endswith((".low", ".high"))}
    assert ranges and module.group_of[first] not in ranges, "the input's range is the pixels'"
    again = at_size(qat_segmenter, (96, 128), Observation(batches=noise))
    assert all(torch.equal(value, again.tensors[name]) for name, value in other.tensors.items())


def test_what_cannot_hold_is_refused(segmenter: Checkpoint, qat_segmenter: Checkpoint) -> None:
    images = Observation(batches=noise)
    assert at_size(segmenter, (64, 64)) is segmenter and at_size(qat_segmenter, (64, 64)) is qat_segmenter
    refusals: list[tuple[Checkpoint, tuple[int, int], Any, str]] = [
        (segmenter, (56, 64), None, "--input-size 56x64: model 'fast_scnn': resolution_hw: height is 56"),
        (segmenter, (64, 9000), None, "width is 9000; it must be an integer from 64 to 8,192"),
        (segmenter, (96, 96), images, "a float checkpoint has no ranges to observe"),
        (qat_segmenter, (96, 96), None, "were trained at 64x64; name images to observe them on again with --calib"),
        (qat_segmenter, (64, 64), images, "is the size of the training, whose ranges stay; omit --calibration"),
    ]
    for checkpoint, size_hw, observation, message in refusals:
        with pytest.raises(UsageError) as refusal:
            at_size(checkpoint, size_hw, observation)
        assert message in str(refusal.value) and "\n" not in str(refusal.value)
    classifier = Checkpoint(
        kind="float", recipe=parse_recipe(classifier_tree(), "tests"), tensors={}, labels=LABELS, metrics={}
    )
    with pytest.raises(UsageError, match="model 'mobilenet_v1' takes square images; 32x48 is not square"):
        at_size(classifier, (32, 48))


@pytest.mark.parametrize(
    ("side", "trained", "stride", "kept"),
    [(180, 360, 8, (176, 184)), (272, 360, 8, None), (385, 513, 16, None), (384, 513, 16, (369, 385))],
)
def test_a_side_keeps_positions_where_it_differs_by_whole_positions(
    side: int, trained: int, stride: int, kept: tuple[int, int] | None
) -> None:
    note = displaced((side, trained), (trained, trained), stride)
    assert note == (
        None
        if kept is None
        else f"the map of {stride} pixels a position moves against the image at height {side} "
        f"({kept[0]} or {kept[1]} keep it)"
    )

    def chain(size: int) -> list[int]:  # the first pixel that SAME padding adds before the image, at every stride of 2
        pads = []
        for _ in range(stride.bit_length() - 1):
            out = -(-size // 2)
            pads.append(max((out - 1) * 2 + 3 - size, 0) // 2)
            size = out
        return pads

    assert (chain(side) == chain(trained)) == (kept is None)
    assert kept is None or all(chain(near) == chain(trained) for near in kept)


def test_a_note_is_for_maps_at_another_size(segmenter: Checkpoint) -> None:
    assert size_note(segmenter) is None and size_note(sized(segmenter, (96, 72))) is None
    assert "height 100 (96 or 104 keep it)" in str(size_note(sized(segmenter, (100, 64))))


def test_the_line_that_trains_at_a_size_is_one_that_a_recipe_takes() -> None:
    recipe = read_recipe(find_recipe("fast_scnn_camvid"))
    checkpoint = Checkpoint(kind="float", recipe=recipe, tensors={}, labels=LABELS, metrics={})
    assert recipe_line(checkpoint, (360, 480)) == "edge train fast_scnn_camvid"
    words = shlex.split(recipe_line(checkpoint, (184, 240)))
    assert words[:3] == ["edge", "train", "fast_scnn_camvid"]
    trained = read_recipe(find_recipe("fast_scnn_camvid"), overrides=words[4::2])
    wanted = sized(checkpoint, (184, 240)).recipe
    assert trained.model.arguments == wanted.model.arguments and trained.preprocess == wanted.preprocess
    assert trained.train.crop_hw == (144, 192)


def test_the_line_trains_the_network_that_the_checkpoint_is() -> None:
    """What `--set` made of a shipped recipe is said again, or another network would be trained at the size."""
    changes = ["model.attention=gct", "data.train=generated:classify:train:320", "train.epochs=2", "qat=none"]
    recipe = read_recipe(find_recipe("mobilenet_v2_generated"), overrides=changes)
    checkpoint = Checkpoint(kind="float", recipe=recipe, tensors={}, labels=LABELS, metrics={})
    words = shlex.split(recipe_line(checkpoint, (64, 64)))
    again = read_recipe(find_recipe("mobilenet_v2_generated"), overrides=words[4::2])
    assert again == sized(checkpoint, (64, 64)).recipe
    assert "model.attention=gct" in words and "model.resolution=64" in words and "qat=none" in words
