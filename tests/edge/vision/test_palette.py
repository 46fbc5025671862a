"""Colours of classes are told apart, and stay the same where classes are added."""

import cv2
import numpy as np
import pytest

from edge.vision.palette import contrast, default_palette, lab_of, least_distance, seen_with


def vienot(colours: np.ndarray, cone: str) -> np.ndarray:
    """Colours without the cones for long (l) or middle (m) waves: Vienot, Brettel and Mollon, 1999, in linear RGB."""
    share = colours / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    to_lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
    lms = linear @ to_lms.T
    if cone == "l":
        lms[:, 0] = 2.02344 * lms[:, 1] - 2.52581 * lms[:, 2]
    else:
        lms[:, 1] = 0.494207 * lms[:, 0] + 1.24827 * lms[:, 2]
    seen = (lms @ np.linalg.inv(to_lms).T).clip(0, 1)
    return 255 * np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)


def test_lab_is_that_of_opencv() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (200, 3))
    theirs = cv2.cvtColor((colours / 255).astype(np.float32)[None], cv2.COLOR_RGB2LAB)[0]
    np.testing.assert_allclose(lab_of(colours), theirs, atol=0.6)


@pytest.mark.parametrize(("classes", "least"), [(8, 35), (12, 27), (21, 18), (32, 14)])
def test_the_colours_are_far_apart_for_everybody(classes: int, least: float) -> None:
    """The smallest distance in Lab, also without one kind of cones, by two simulations that are independent."""
    colours = default_palette(classes)
    assert least_distance(colours) > least
    theirs = [lab_of(vienot(np.array(colours), cone)) for cone in ("l", "m")]
    for lab in theirs:
        assert np.linalg.norm(lab[:, None] - lab[None], axis=2)[~np.eye(classes, dtype=bool)].min() > 0.6 * least


def test_red_and_green_are_not_told_apart_by_who_lacks_a_cone() -> None:
    """What the distance is for: of the pair only lightness is left."""
    pair = ((200, 60, 40), (110, 120, 30))
    assert np.linalg.norm(np.diff(lab_of(np.array(pair)), axis=0)) > 60 and least_distance(pair) < 15
    assert least_distance(((0, 0, 0), (255, 255, 255))) == pytest.approx(100, abs=0.1)


def test_greys_look_the_same_without_a_cone() -> None:
    greys = np.repeat(np.arange(0, 256, 5)[:, None], 3, axis=1)
    for name in ("protanopia", "deuteranopia"):
        np.testing.assert_allclose(seen_with(name, greys), greys, atol=0.5)  # type: ignore[arg-type]


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)  # WebAIM's checker
    for colour in default_palette(64):
        assert max(contrast(colour, ink) for ink in ((0, 0, 0), (255, 255, 255))) >= 4.5


def test_256_classes_have_256_colours() -> None:
    assert len(set(default_palette(256))) == 256


def test_more_classes_keep_the_colours_of_fewer() -> None:
    assert default_palette(150)[:21] == default_palette(21) and default_palette(0) == ()
