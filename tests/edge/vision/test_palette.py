"""Colours of classes are told apart, and stay the same where classes are added."""

import cv2
import numpy as np

from edge.vision.palette import default_palette, lab_of


def test_lab_is_that_of_opencv() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (200, 3))
    theirs = cv2.cvtColor((colours / 255).astype(np.float32)[None], cv2.COLOR_RGB2LAB)[0]
    np.testing.assert_allclose(lab_of(colours), theirs, atol=0.6)


def test_the_colours_of_21_classes_are_far_apart() -> None:
    lab = lab_of(np.array(default_palette(21)))
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 1000 * np.eye(21)
    assert apart.min() > 35
    assert len(set(default_palette(256))) == 256


def test_more_classes_keep_the_colours_of_fewer() -> None:
    assert default_palette(150)[:21] == default_palette(21) and default_palette(0) == ()
