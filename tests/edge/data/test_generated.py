"""The generated sets are deterministic, disjoint, hold every class, and no linear model solves them."""

import hashlib
import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from edge.data.attribute_image import ATTRIBUTES, attribute_image, attribute_truth
from edge.data.box_scene import BOX_CLASSES, LEAST_SEEN, LEAST_SIDE, box_scene, boxed_street, scene_boxes, without_pole
from edge.data.damaged import damaged
from edge.data.drawing import draw_parts
from edge.data.generated import generated_split
from edge.data.object_image import OBJECT_CLASSES, object_image, object_label
from edge.data.open_split import open_split
from edge.data.scene import SCENE_CLASSES, draw_street, draw_things, scene, street_sky
from edge.errors import UsageError
from edge.evaluation.baseline import linear_on_pixels, majority_class, mean_mask_score

pytestmark = pytest.mark.unhurried

COMMITTED = Path(__file__).parents[3] / "calibration_data"


def test_same_seed_draws_the_same_pixels() -> None:
    assert np.array_equal(object_image(5, 96)[0], object_image(5, 96)[0])
    assert not np.array_equal(object_image(5, 96)[0], object_image(6, 96)[0])
    (image, mask), (again, mask_again) = scene(5, (96, 128)), scene(5, (96, 128))
    assert np.array_equal(image, again)
    assert np.array_equal(mask, mask_again)


def test_label_of_an_image_is_the_label_of_its_seed() -> None:
    assert all(object_image(seed, 32)[1] == object_label(seed) for seed in range(20))


def test_every_class_occurs_about_equally_often() -> None:
    labels = np.array([object_label(seed) for seed in range(2000)])
    assert np.abs(np.bincount(labels, minlength=len(OBJECT_CLASSES)) / 250 - 1).max() < 0.25


def test_attributes_hold_as_often_as_they_say_and_independently_of_each_other() -> None:
    truth = np.array([attribute_truth(seed) for seed in range(2000)])
    assert np.abs(truth.mean(axis=0) - list(ATTRIBUTES.values())).max() < 0.04
    assert np.abs(np.corrcoef(truth.T) - np.eye(len(ATTRIBUTES))).max() < 0.08
    split = generated_split("attributes", "val", 3, shape_hw=(48, 48))
    assert (split.scores, split.classes) == ("independent", tuple(ATTRIBUTES))
    assert tuple(split.truth(1)) == attribute_truth(1_000_001)
    assert np.array_equal(split.image(1), attribute_image(1_000_001, 48))


def test_a_dark_background_is_dark_and_a_large_shape_large() -> None:
    split = generated_split("attributes", "train", 60)
    means = np.array([np.median(split.image(index)) for index in range(60)])
    dark = np.array([split.truth(index)[split.classes.index("dark background")] for index in range(60)], bool)
    large = np.array([split.truth(index)[split.classes.index("large")] for index in range(60)], bool)
    assert means[dark & ~large].max() < means[~dark & ~large].min()


def test_scenes_hold_every_class_and_no_other_value() -> None:
    split = generated_split("segment", "train", 30)
    seen = set().union(*(np.unique(split.mask(index)).tolist() for index in range(len(split))))
    assert seen == set(range(len(SCENE_CLASSES)))
    for index in range(len(split)):
        split.check(index)


def test_boxes_of_a_street_lie_in_it_and_follow_from_its_seed() -> None:
    split = generated_split("detect", "train", 40)
    assert split.sha256 == generated_split("detect", "train", 40).sha256
    assert split.samples[3].target == scene_boxes(3, (192, 256)) != scene_boxes(4, (192, 256))
    assert np.array_equal(split.image(3), box_scene(3, (192, 256))) and split.image(3).shape == (192, 256, 3)
    told = [split.boxes(index) for index in range(40)]
    edges = np.vstack([boxes.boxes for boxes in told])
    sure = ~np.concatenate([boxes.ignored for boxes in told])
    assert edges.min() >= 0 and edges[:, 2].max() <= 256 and edges[:, 3].max() <= 192
    assert (edges[sure, 2:] - edges[sure, :2]).min() >= 0.04 * 192
    counts = np.bincount(np.concatenate([boxes.labels for boxes in told])[sure], minlength=len(BOX_CLASSES))
    assert counts.min() >= 8 and counts.sum() >= 80


def test_boxes_are_around_what_the_things_change_in_the_empty_street() -> None:
    shape, outside, filled = (96, 128), [], []
    for seed in range(10):
        camera, widths_m, things = boxed_street(seed, shape)
        canvas = street_sky(shape, camera, np.random.default_rng(seed))
        draw_street(canvas, widths_m, np.random.default_rng(seed))
        before = canvas.image.copy()
        boxed_things = [without_pole(replace(thing, shadow=None)) for thing in things if thing.kind in BOX_CLASSES]
        draw_things(canvas, boxed_things)
        changed = (canvas.image != before).any(axis=2)
        boxed = np.zeros(shape, dtype=np.bool_)
        for box in scene_boxes(seed, shape).boxes:
            left, top, right, bottom = (int(edge) for edge in box[:4])
            boxed[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1] = True
            part = changed[top:bottom, left:right]
            filled.append(bool(part[0].any() and part[-1].any() and part[:, 0].any() and part[:, -1].any()))
        outside.append(np.mean(changed & ~boxed) / max(np.mean(changed), 1e-9))
    assert len(filled) > 15 and np.mean(filled) > 0.95 and np.median(outside) < 0.01


def test_a_thing_that_is_mostly_hidden_is_ignored() -> None:
    """Counted by painting the things over each other, each in a number of its own."""
    shape, hidden, free = (96, 128), [], []
    for seed in range(250):
        painted, alone = np.zeros(shape, dtype=np.uint8), []
        things = boxed_street(seed, shape)[2]
        for number, thing in enumerate(things, 1):
            draw_parts(None, painted, thing.parts, thing.matrix, 255)  # a pole hides too
            draw_parts(None, painted, without_pole(thing).parts, thing.matrix, number)
            canvas = np.zeros(shape, dtype=np.uint8)
            draw_parts(None, canvas, without_pole(thing).parts, thing.matrix, 1)
            alone.append(int(canvas.sum()))
        numbers = [number for number, thing in enumerate(things, 1) if thing.kind in BOX_CLASSES]
        seen = {number: int((painted == number).sum()) for number in numbers}
        told = scene_boxes(seed, shape).boxes  # of nothing seen at all there is none
        for number, box in zip((number for number in numbers if seen[number] >= 6), told, strict=True):
            touches = box.x0 == 0 or box.y0 == 0 or box.x1 == shape[1] or box.y1 == shape[0]
            if seen[number] < LEAST_SEEN * alone[number - 1]:
                hidden.append(box.ignored)
            elif not touches and min(box.x1 - box.x0, box.y1 - box.y0) > LEAST_SIDE * shape[0]:
                free.append(box.ignored)
    assert len(hidden) >= 3 and all(hidden)
    assert len(free) >= 200 and not any(free)


def test_parts_share_no_sample() -> None:
    splits = [generated_split("segment", part) for part in ("train", "val", "calibration")]
    names = {split.name(index) for split in splits for index in range(len(split))}
    assert len(names) == sum(len(split) for split in splits)


def test_sizes_and_counts_are_as_asked() -> None:
    split = generated_split("segment", "val", 3, shape_hw=(64, 96))
    assert (len(split), split.image(2).shape, split.mask(2).shape) == (3, (64, 96, 3), (64, 96))
    assert generated_split("classify", "val", 2, shape_hw=(48, 48)).image(1).shape == (48, 48, 3)
    boxes = generated_split("detect", "val", 2, shape_hw=(64, 96))
    assert boxes.image(1).shape == (64, 96, 3) and open_split(split="generated:detect:val:2").has_boxes
    with pytest.raises(UsageError, match="generated:detect: images are at least 32x32"):
        generated_split("detect", "val", 2, shape_hw=(16, 64))
    with pytest.raises(UsageError, match="images are square"):
        generated_split("classify", "val", 2, shape_hw=(48, 64))


def test_linear_model_on_pixels_stays_near_the_majority() -> None:
    # Measured with 2000 training images: 0.12 above the majority, a small MobileNet after 500 steps 0.39 above it.
    train, val = generated_split("classify", "train", 800), generated_split("classify", "val", 300)
    majority = majority_class(train, val).top1
    assert majority < 0.17
    assert linear_on_pixels(train, val) - majority < 0.18


def test_mean_mask_says_little() -> None:
    train, val = generated_split("segment", "train", 40), generated_split("segment", "val", 15)
    assert mean_mask_score(train, val).mean_iou < 0.25


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("calibration_data_generate", COMMITTED / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_committed_files_are_those_of_their_sums() -> None:
    lines = (COMMITTED / "SHA256SUMS").read_text().splitlines()
    assert len(lines) == 69
    for line in lines:
        digest, name = line.split("  ", 1)
        assert hashlib.sha256((COMMITTED / name).read_bytes()).hexdigest() == digest, name


def test_committed_set_is_what_the_generator_draws(tmp_path: Path, generator: ModuleType) -> None:
    generator.write_objects(tmp_path)
    generator.write_scenes(tmp_path)
    for name in ("classify", "segment"):
        committed = open_split(split=COMMITTED / f"{name}.split.json")
        drawn = open_split(split=tmp_path / f"{name}.split.json")
        assert not damaged(committed)
        assert [sample.name for sample in committed.samples] == [sample.name for sample in drawn.samples]
        assert committed.classes == drawn.classes
        for index in range(len(committed)):
            # Other versions of OpenCV draw a few edge pixels, and decode JPEG, slightly differently.
            assert cv2.absdiff(committed.image(index), drawn.image(index)).mean() < 0.5
            assert np.mean(committed.target(index) != drawn.target(index)) < 1e-3


def test_committed_folders_open_without_a_split_file() -> None:
    objects = open_split(
        images=COMMITTED / "classify/images",
        labels=COMMITTED / "classify/labels.tsv",
        classes=COMMITTED / "classify/classes.txt",
    )
    scenes = open_split(
        images=COMMITTED / "segment/images",
        masks=COMMITTED / "segment/masks",
        classes=COMMITTED / "segment/classes.txt",
    )
    assert objects.sha256 == open_split(split=COMMITTED / "classify.split.json").sha256
    assert scenes.sha256 == open_split(split=COMMITTED / "segment.split.json").sha256
