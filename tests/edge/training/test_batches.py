"""Batches depend on seed, epoch and sample alone."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from edge.data.boxes import BoxArrays
from edge.data.generated import generated_split
from edge.data.splits import Sample, Split
from edge.errors import UsageError
from edge.recipe.recipe import Phase, Recipe
from edge.recipe.recipe_file import parse_recipe
from edge.training.batches import Batches, KeptSamples, Normalizer
from edge.training.box_matching import BoxBatch
from edge.training.losses import NO_CLASS
from edge.vision.detections import Detections, in_frame
from edge.vision.pixels import normalize, resize
from edge.vision.preprocess import Preprocess
from tests.edge.training.conftest import detector_tree
from tests.support.box_scenes import box_split


def _batches(recipe: Recipe, split: Split | None = None, **changes: object) -> Batches:
    given = generated_split("classify", "train", 21) if split is None else split
    options: dict[str, object] = {"size_hw": (32, 32), **changes}
    return Batches(given, recipe.preprocess, recipe.train, **options)  # type: ignore[arg-type]


def test_an_epoch_visits_every_sample_once(classifier: Callable[..., Recipe]) -> None:
    batches = _batches(classifier())
    assert sorted(batches.order(0)) == list(range(21))
    assert batches.order(0) == batches.order(0) != batches.order(1)


def test_a_partial_batch_is_left_out_or_kept(classifier: Callable[..., Recipe]) -> None:
    left_out = _batches(classifier())
    kept = _batches(classifier(train__drop_partial=False))
    only = _batches(classifier(train__batch_size=64))
    assert [len(batch.images) for batch in left_out.epoch(0)] == [8, 8]
    assert [len(batch.images) for batch in kept.epoch(0)] == [8, 8, 5]
    assert [len(batch.images) for batch in only.epoch(0)] == [21]


def test_starting_in_the_middle_gives_the_same_rest(classifier: Callable[..., Recipe]) -> None:
    whole = list(_batches(classifier(), workers=3).epoch(4))
    rest = list(_batches(classifier(), kept=KeptSamples(0)).epoch(4, start=1))
    assert len(rest) == 1
    assert torch.equal(whole[1].images, rest[0].images)
    assert isinstance(whole[1].targets, torch.Tensor) and isinstance(rest[0].targets, torch.Tensor)
    assert torch.equal(whole[1].targets, rest[0].targets)


def test_seed_and_epoch_change_the_augmentation(classifier: Callable[..., Recipe]) -> None:
    first, other = _batches(classifier()), _batches(classifier(train__seed=1))
    same, again = first.sample(0, 3)[0], first.sample(0, 3)[0]
    assert np.array_equal(same, again)
    assert not np.array_equal(same, first.sample(1, 3)[0])
    assert not np.array_equal(same, other.sample(0, 3)[0])


def test_closing_an_epoch_early_is_quiet(classifier: Callable[..., Recipe]) -> None:
    before = threading.active_count()
    epoch = _batches(classifier()).epoch(0)
    next(epoch)
    epoch.close()  # type: ignore[attr-defined]  # it is a generator
    assert next(epoch, None) is None
    assert threading.active_count() == before


def test_void_becomes_no_class(segmenter: Callable[..., Recipe]) -> None:
    mask = np.full((64, 64), 2, np.uint8)
    mask[:32] = 9
    sample = Sample(name="a", image=lambda: np.zeros((64, 64, 3), np.uint8), target=lambda: mask)
    split = Split(samples=(sample,), task="segment", classes=("a", "b", "c"), ignore_index=9)
    batch = next(_batches(segmenter(), split, size_hw=(64, 64)).epoch(0))
    assert isinstance(batch.targets, torch.Tensor)
    assert batch.targets.dtype == torch.int64
    assert set(batch.targets.unique().tolist()) <= {2, NO_CLASS}


def test_the_model_s_colour_order_is_kept(classifier: Callable[..., Recipe]) -> None:
    rgb = _batches(classifier()).sample(0, 5)[0]
    bgr = _batches(classifier(preprocess__colour_order="bgr")).sample(0, 5)[0]
    assert np.array_equal(rgb[:, :, ::-1], bgr)


def test_the_normalizer_is_the_preprocessing_s(classifier: Callable[..., Recipe]) -> None:
    preprocess = classifier(preprocess__mean=[1.5, 127.5, 99.0], preprocess__std=[58.4, 57.1, 57.4]).preprocess
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    found = Normalizer(preprocess)(torch.from_numpy(pixels))
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(found.numpy(), normalize(pixels, preprocess).transpose(0, 3, 1, 2))


def test_images_without_labels_need_no_targets(classifier: Callable[..., Recipe]) -> None:
    samples = tuple(
        Sample(name=str(index), image=lambda: np.zeros((40, 40, 3), np.uint8), target=None) for index in range(8)
    )
    split = Split(samples=samples, task="images", origin="here")
    with pytest.raises(UsageError, match="no labels to train on"):
        _batches(classifier(), split)
    assert next(_batches(classifier(), split, with_targets=False).epoch(0)).targets is None


def test_the_cache_keeps_what_fits_and_decodes_the_rest_anew(classifier: Callable[..., Recipe]) -> None:
    decoded: list[int] = []

    def image(index: int) -> np.ndarray:
        decoded.append(index)
        return np.full((40, 40, 3), index, np.uint8)

    samples = tuple(Sample(name=str(index), image=partial(image, index), target=index % 3) for index in range(8))
    split = Split(samples=samples, task="classify", classes=("a", "b", "c"))
    bounded = _batches(classifier(), split, kept=KeptSamples(3 * 40 * 40 * 3))
    first = [bounded.sample(0, index)[0] for index in range(8)]
    again = [bounded.sample(0, index)[0] for index in range(8)]
    assert decoded == [*range(8), *range(3, 8)]
    assert all(np.array_equal(*pair) for pair in zip(first, again, strict=True))


def test_what_one_phase_decoded_another_does_not_decode_again(classifier: Callable[..., Recipe]) -> None:
    decoded: list[int] = []

    def image(index: int) -> np.ndarray:
        decoded.append(index)
        return np.full((40, 40, 3), index, np.uint8)

    samples = tuple(Sample(name=str(index), image=partial(image, index), target=index % 3) for index in range(4))
    split = Split(samples=samples, task="classify", classes=("a", "b", "c"))
    kept = KeptSamples()
    pairs = [_batches(classifier(), split, kept=kept).sample(0, index) for index in range(4)]
    again = [_batches(classifier(), split, kept=kept).sample(0, index) for index in range(4)]
    assert decoded == [0, 1, 2, 3]
    assert all(np.array_equal(one[0], other[0]) and one[1] == other[1] for one, other in zip(pairs, again, strict=True))
    assert _batches(classifier(), split, kept=kept, with_targets=False).sample(0, 2)[1] is None


def _detector(fit: str = "stretch", **augment: Any) -> tuple[Preprocess, Phase]:
    tree = detector_tree()
    tree["preprocess"]["fit"] = fit
    tree["train"]["augment"] = {"flip": 0.0, **augment}
    recipe = parse_recipe(tree, "test")
    return recipe.preprocess, recipe.train


def _box_batches(split: Split, preprocess: Preprocess, phase: Phase, **options: Any) -> Batches:
    return Batches(split, preprocess, phase, size_hw=(preprocess.height, preprocess.width), **options)


def test_boxes_of_any_number_go_on_exactly_where_an_epoch_stopped() -> None:
    """The last scene has none; zoom, cuts and flips follow from seed, epoch and sample alone."""
    strong: dict[str, Any] = {"flip": 0.5, "expand": 2.0, "crop_overlaps": [0.0, 0.5], "brightness": 0.3}
    preprocess, phase = _detector(**strong)
    whole = list(_box_batches(box_split(9), preprocess, phase, workers=3).epoch(2))
    rest = list(_box_batches(box_split(9), preprocess, phase, kept=KeptSamples(0)).epoch(2, start=1))
    assert len(whole) == 2 and len(rest) == 1
    assert torch.equal(whole[1].images, rest[0].images)
    for first, second in ((whole[1], rest[0]),):
        assert isinstance(first.targets, BoxBatch) and isinstance(second.targets, BoxBatch)
        for name in ("boxes", "labels", "ignored"):
            pairs = zip(getattr(first.targets, name), getattr(second.targets, name), strict=True)
            assert all(torch.equal(one, other) for one, other in pairs)
    counts = {len(boxes) for batch in whole for boxes in batch.targets.boxes}  # type: ignore[union-attr]
    assert len(counts) > 1
    images = _box_batches(box_split(9), preprocess, phase, with_targets=False).epoch(2, start=1)
    alone = next(images)
    assert alone.targets is None and torch.equal(alone.images, rest[0].images)


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "crop"])
def test_unchanged_training_images_with_boxes_are_what_the_model_sees(fit: str) -> None:
    """Pixels as `resize` gives them, within a grey level; boxes come back to the frame by the way of predictions."""
    preprocess, phase = _detector(fit)
    split = box_split(4, (96, 128))
    for index in range(4):
        image, target = _box_batches(split, preprocess, phase).sample(0, index)
        assert np.abs(image.astype(int) - resize(split.image(index), preprocess)).max() <= 1
        assert isinstance(target, BoxArrays)
        shares = target.boxes / np.float32(preprocess.width)
        found = Detections(boxes=shares, scores=np.ones(len(shares), np.float32), labels=target.labels)
        back = in_frame(found, (96, 128), preprocess)
        truth = split.boxes(index)
        if fit == "crop":
            centres = (truth.boxes[:, 0] + truth.boxes[:, 2]) / 2
            seen = (centres >= 16) & (centres < 112)
            truth = BoxArrays(
                boxes=truth.boxes[seen].clip((16, 0, 16, 0), (112, 96, 112, 96)),
                labels=truth.labels[seen],
                ignored=truth.ignored[seen],
            )
        np.testing.assert_allclose(back.boxes, truth.boxes, atol=1e-3)
        assert np.array_equal(back.labels, truth.labels)
