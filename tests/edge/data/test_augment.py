"""Augmentation is decided by its rng, keeps image and mask together, and with settings of zero changes nothing."""

import cv2
import numpy as np
import pytest

from edge.data.augment import (
    ClassificationAugment,
    ColourJitter,
    SegmentationAugment,
    augment_classification,
    augment_segmentation,
    jitter_colour,
)

STRONG = ColourJitter(brightness=0.4, contrast=0.4, saturation=0.4, channel=0.1, noise=5.0)
IMAGE = cv2.resize(np.random.default_rng(0).integers(0, 256, size=(9, 12, 3), dtype=np.uint8), (64, 48))


def test_same_rng_gives_the_same_sample() -> None:
    settings = SegmentationAugment(colour=STRONG)
    mask = IMAGE[:, :, 0] % 5
    first, second, other = (
        augment_segmentation(IMAGE, mask, (40, 40), settings, np.random.default_rng(seed)) for seed in (4, 4, 5)
    )
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], other[0])
    cut = ClassificationAugment(colour=STRONG)
    one, two = (augment_classification(IMAGE, (32, 32), cut, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(one, two)


def test_no_scale_no_flip_full_size_is_the_sample_itself() -> None:
    settings = SegmentationAugment(scale=(1.0, 1.0), flip=0.0)
    mask = IMAGE[:, :, 0] % 5
    image, cut = augment_segmentation(IMAGE, mask, (48, 64), settings, np.random.default_rng(0))
    assert np.array_equal(image, IMAGE)
    assert np.array_equal(cut, mask)


def test_flip_alone_mirrors_image_and_mask() -> None:
    settings = SegmentationAugment(scale=(1.0, 1.0), flip=1.0)
    mask = IMAGE[:, :, 0] % 5
    image, cut = augment_segmentation(IMAGE, mask, (48, 64), settings, np.random.default_rng(0))
    assert np.array_equal(image, IMAGE[:, ::-1])
    assert np.array_equal(cut, mask[:, ::-1])


@pytest.mark.parametrize("seed", range(8))
def test_mask_follows_the_image(seed: int) -> None:
    # An image whose grey level is its mask, in large patches: away from borders they must still say the same.
    patches = np.random.default_rng(seed).integers(0, 6, size=(4, 5), dtype=np.uint8)
    mask = np.kron(patches, np.ones((24, 24), dtype=np.uint8))
    image = np.repeat((mask * 40)[:, :, None], 3, axis=2)
    settings = SegmentationAugment(scale=(0.5, 2.0))
    warped, cut = augment_segmentation(image, mask, (80, 90), settings, np.random.default_rng(seed), ignore_index=6)
    expected = np.where(cut == 6, 128, cut * 40)
    inner = cv2.erode((np.abs(cv2.Laplacian(cut, cv2.CV_16S)) == 0).astype(np.uint8), np.ones((5, 5), np.uint8)) == 1
    assert inner.mean() > 0.4
    assert np.array_equal(warped[:, :, 0][inner], expected[inner])


def test_what_lies_outside_is_ignored() -> None:
    settings = SegmentationAugment(scale=(0.5, 0.5), flip=0.0)
    mask = np.ones((40, 40), dtype=np.uint8)
    _, cut = augment_segmentation(IMAGE[:40, :40], mask, (40, 40), settings, np.random.default_rng(0), ignore_index=9)
    assert int((cut == 1).sum()) in range(19 * 19, 21 * 21 + 1)
    assert set(np.unique(cut)) == {1, 9}


def test_jitter_of_zero_changes_nothing_and_brightness_scales() -> None:
    rng = np.random.default_rng(0)
    assert np.array_equal(jitter_colour(IMAGE, ColourJitter(), rng), IMAGE)
    bright = jitter_colour(IMAGE, ColourJitter(brightness=0.5), np.random.default_rng(1))
    factor = 1 + np.random.default_rng(1).uniform(-0.5, 0.5)
    assert np.abs(bright - np.clip(IMAGE * factor, 0, 255)).max() <= 1


def test_noise_has_its_standard_deviation() -> None:
    grey = np.full((100, 100, 3), 128, dtype=np.uint8)
    noisy = jitter_colour(grey, ColourJitter(noise=6.0), np.random.default_rng(2))
    assert abs(float(noisy.std()) - 6.0) < 0.2


def test_arguments_are_not_modified() -> None:
    before, mask = IMAGE.copy(), IMAGE[:, :, 0] % 5
    augment_segmentation(IMAGE, mask, (40, 40), SegmentationAugment(colour=STRONG), np.random.default_rng(0))
    augment_classification(IMAGE, (32, 32), ClassificationAugment(colour=STRONG), np.random.default_rng(0))
    assert np.array_equal(IMAGE, before)


def test_cut_of_a_very_wide_image_stays_inside() -> None:
    wide = np.zeros((4, 400, 3), dtype=np.uint8)
    settings = ClassificationAugment(area=(0.9, 1.0))
    for seed in range(20):
        assert augment_classification(wide, (8, 8), settings, np.random.default_rng(seed)).shape == (8, 8, 3)
