"""Boxes move with the pixels, follow SSD's rules at a patch's edge, and change nothing where nothing is asked."""

import numpy as np
import pytest

from edge.data.augment import ColourJitter
from edge.data.box_augment import LEAST_VISIBLE, DetectionAugment, augment_detection
from edge.vision.box_overlaps import box_areas, box_overlaps

STILL = DetectionAugment(flip=0.0)
SSD = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
STRONG = DetectionAugment(
    expand=3.0, crop_overlaps=SSD, area=(0.1, 1.0), aspect=(0.5, 2.0), flip=0.5, flip_vertical=0.5
)
GREY = 128


def painted(seed: int, count: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Filled rectangles, each in a cell of its own, of a colour that tells its label."""
    rng = np.random.default_rng(seed)
    image = np.full((240, 320, 3), GREY, np.uint8)
    labels = np.arange(count)
    boxes = np.empty((count, 4), np.float32)
    for label, cell in enumerate(rng.permutation(12)[:count]):
        x, y = cell % 4 * 80 + rng.integers(4, 20), cell // 4 * 80 + rng.integers(4, 20)
        width, height = rng.integers(20, 55, 2)
        boxes[label] = x, y, x + width, y + height
        image[y : y + height, x : x + width] = (20 + 30 * label, 0, 255)
    return image, boxes, labels, np.zeros(count, np.bool_)


def run(settings: DetectionAugment, seed: int, sample: tuple[np.ndarray, ...], size_hw: tuple[int, int] = (200, 200)):
    return augment_detection(*sample, size_hw, settings, np.random.default_rng(seed), (GREY, GREY, GREY))


def test_nothing_asked_is_the_sample_itself_stretched() -> None:
    sample = painted(0)
    image, boxes, labels, ignored = run(STILL, 0, sample, (240, 320))
    assert all(np.array_equal(one, two) for one, two in zip((image, boxes, labels, ignored), sample, strict=True))
    _, halved, _, _ = run(STILL, 0, sample, (120, 320))
    assert np.array_equal(halved, sample[1] * [1, 0.5, 1, 0.5])
    assert halved.dtype == np.float32


def test_flips_mirror_image_and_boxes() -> None:
    sample = painted(1)
    image, boxes, _, _ = run(DetectionAugment(flip=1.0, flip_vertical=1.0), 0, sample, (240, 320))
    assert np.array_equal(image, sample[0][::-1, ::-1])
    x0, y0, x1, y1 = sample[1].T
    assert np.array_equal(boxes, np.stack([320 - x1, 240 - y1, 320 - x0, 240 - y0], axis=1))


@pytest.mark.parametrize("seed", range(12))
def test_boxes_enclose_their_pixels_wherever_they_went(seed: int) -> None:
    image, boxes, labels, _ = run(STRONG, seed, painted(seed))
    assert len(boxes)
    for (x0, y0, x1, y1), label in zip(boxes, labels, strict=True):
        rows, columns = np.nonzero(np.abs(image.astype(int) - (20 + 30 * label, 0, 255)).max(axis=2) < 8)
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        # A pixel at a rectangle's edge is a mixture of two colours, and an enlarged one is a ramp of several.
        assert np.abs(np.array([x0, y0, x1, y1]) - seen).max() < 4.5


def test_same_rng_gives_the_same_sample_and_another_does_not() -> None:
    sample = painted(2)
    first, second, other = (run(STRONG, seed, sample) for seed in (4, 4, 5))
    assert all(np.array_equal(one, two) for one, two in zip(first, second, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_arguments_are_not_modified() -> None:
    sample = painted(3)
    before = [array.copy() for array in sample]
    run(STRONG, 1, sample)
    assert all(np.array_equal(one, two) for one, two in zip(before, sample, strict=True))


def patches(settings: DetectionAugment, sample: tuple[np.ndarray, ...], seeds: int) -> list[np.ndarray]:
    """The windows of the image that were seen, told by two boxes that lie in every one as ignored ones."""
    image, boxes, labels, ignored = sample
    whole = np.array([[0, 0, image.shape[1], image.shape[0]]], np.float32)
    told = (
        np.concatenate([boxes, whole]),
        np.concatenate([labels, [99]]),
        np.concatenate([ignored, [True]]),
    )
    found = []
    for seed in range(seeds):
        _, moved, names, _ = run(settings, seed, (image, *told), (100, 100))
        one = moved[names == 0]
        if not len(one) or not (one[0] > 0).all() or not (one[0] < 100).all():
            continue
        scale = (one[0, 2:] - one[0, :2]) / (boxes[0, 2:] - boxes[0, :2])
        corner = boxes[0, :2] - one[0, :2] / scale
        found.append(np.concatenate([corner, corner + 100 / scale]))
    assert len(found) > seeds / 10
    return found


def test_patches_overlap_a_box_by_what_was_asked() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    sample = (image, np.array([[60, 20, 140, 80]], np.float32), np.array([0]), np.array([False]))
    for wanted in (0.3, 0.5, 0.7):
        cut = DetectionAugment(crop_overlaps=(wanted,), area=(0.2, 0.6), aspect=(0.5, 2.0), flip=0.0)
        windows = [window for window in patches(cut, sample, 150) if window[2] - window[0] < 199]
        overlaps = box_overlaps(np.array(windows), sample[1])
        assert wanted - 1e-3 <= overlaps.min() < wanted + 0.2
        assert np.min(windows) > -0.01 and (np.array(windows) < (200.01, 100.01, 200.01, 100.01)).all()


def test_a_choice_that_nothing_satisfies_leaves_the_image_whole() -> None:
    sample = painted(4)  # no box is a tenth of the image, so that no patch of a quarter overlaps one by half
    for seed in range(10):
        image, boxes, _, _ = run(DetectionAugment(crop_overlaps=(0.9,), flip=0.0), seed, sample, (240, 320))
        assert np.array_equal(image, sample[0]) and np.array_equal(boxes, sample[1])


def test_area_and_aspect_of_patches_hold() -> None:
    sample = (np.zeros((300, 400, 3), np.uint8), np.array([[190, 140, 210, 160]], np.float32), np.array([0]))
    cut = DetectionAugment(crop_overlaps=(0.0,), area=(0.2, 0.5), aspect=(0.8, 1.25), flip=0.0)
    windows = np.array(patches(cut, (*sample, np.array([False])), 80))
    shares = box_areas(windows) / 120_000
    aspect = (windows[:, 2] - windows[:, 0]) / (windows[:, 3] - windows[:, 1]) / (400 / 300)
    cuts = shares < 0.99
    assert 0.3 < cuts.mean() < 0.7  # two choices
    assert shares[cuts].min() + 1e-3 >= 0.2 and shares[cuts].max() <= 0.5 + 1e-3
    assert aspect[cuts].min() + 1e-3 >= 0.8 and aspect[cuts].max() <= 1.25 + 1e-3


def test_the_canvas_has_its_colour_and_no_canvas_is_seen_without_expanding() -> None:
    boxes, labels, none = np.array([[2, 2, 30, 30]], np.float32), np.array([0]), np.array([False])
    sample = (np.full((32, 32, 3), 7, np.uint8), boxes, labels, none)
    assert (run(STILL, 0, sample)[0] == 7).all()
    view = run(DetectionAugment(expand=4.0, expand_share=1.0, flip=0.0), 1, sample)[0]
    assert set(np.unique(view)) > {7, GREY} and (view == GREY).mean() > 0.3


def test_expanding_shrinks_boxes_into_the_fill() -> None:
    sample = painted(5)
    expand = DetectionAugment(expand=4.0, expand_share=1.0, flip=0.0)
    for seed in range(5):
        image, boxes, labels, _ = run(expand, seed, sample, (240, 320))
        ratio = np.sqrt(box_areas(sample[1]) / box_areas(boxes))
        assert len(labels) == 5 and ratio.min() > 1 and np.ptp(ratio) < 1e-3 and ratio.max() <= 4
        assert (image[0, 0] == GREY).all() or (image[-1, -1] == GREY).all()


def test_a_box_whose_centre_left_is_dropped_and_an_ignored_one_stays_while_it_is_seen() -> None:
    sample = painted(6, 8)
    ignored = np.arange(8) % 2 == 1
    image, boxes, labels, _ = sample
    cut = DetectionAugment(crop_overlaps=(0.0,), area=(0.2, 0.4), flip=0.0)
    dropped = kept_in_part = 0
    for seed in range(60):
        _, moved, names, flags = run(cut, seed, (image, boxes, labels, ignored), (100, 100))
        assert np.array_equal(flags, names % 2 == 1)
        assert (moved >= 0).all() and (moved <= 100).all() and (box_areas(moved) > 0).all()
        # Where one whole box is seen the window is known, and with it what must have happened to the others.
        inside = np.flatnonzero((moved > 0.1).all(axis=1) & (moved < 99.9).all(axis=1))
        if not len(inside):
            continue
        one, truth = moved[inside[0]], boxes[names[inside[0]]]
        scale = (one[2:] - one[:2]) / (truth[2:] - truth[:2])
        placed = ((boxes.reshape(-1, 2, 2) - truth[:2]) * scale + one[:2]).reshape(-1, 4)
        clipped = placed.clip(0, 100)
        centres = (placed[:, :2] + placed[:, 2:]) / 2
        held = ((centres >= 0) & (centres < 100)).all(axis=1)
        seen = box_areas(clipped) > 1e-3
        expected = np.where(ignored, seen, held & (box_areas(clipped) >= LEAST_VISIBLE * box_areas(placed)))
        assert set(names) == set(np.flatnonzero(expected))
        assert np.abs(moved - clipped[names]).max() < 0.01
        dropped += int((seen & ~expected).sum())
        kept_in_part += int((ignored & expected & ~held).sum())
    assert dropped and kept_in_part


def test_a_window_within_a_box_drops_it() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    huge = (image, np.array([[0, 0, 100, 100]], np.float32), np.array([0]), np.array([False]))
    cut = DetectionAugment(crop_overlaps=(0.0,), area=(0.1, 0.2), flip=0.0)
    left = [len(run(cut, seed, huge)[1]) for seed in range(20)]
    assert set(left) == {0, 1}


def test_an_image_without_boxes_is_cut_too_and_an_empty_box_goes() -> None:
    image = painted(7)[0]
    none = (image, np.empty((0, 4), np.float32), np.empty(0, np.int64), np.empty(0, np.bool_))
    cut = DetectionAugment(crop_overlaps=(0.5,), area=(0.2, 0.3), flip=0.0)
    views = [run(cut, seed, none) for seed in range(10)]
    assert all(boxes.shape == (0, 4) and len(labels) == len(ignored) == 0 for _, boxes, labels, ignored in views)
    assert any(not np.array_equal(view[0], run(STILL, 0, none)[0]) for view in views)
    flat = (image, np.array([[5, 5, 5, 9]], np.float32), np.array([0]), np.array([True]))
    assert not len(run(STILL, 0, flat)[1])


def test_colours_move_and_boxes_do_not() -> None:
    sample = painted(8)
    image, boxes, _, _ = run(DetectionAugment(flip=0.0, colour=ColourJitter(brightness=0.5)), 0, sample, (240, 320))
    assert not np.array_equal(image, sample[0]) and np.array_equal(boxes, sample[1])
