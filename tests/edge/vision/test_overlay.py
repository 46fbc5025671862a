"""Overlays draw what they are given, at any frame size, on a copy."""

import numpy as np
import pytest

from edge.errors import UsageError
from edge.vision.legend import LegendPlace
from edge.vision.overlay import Style, draw_class_map, draw_line, draw_scores
from edge.vision.postprocess import ClassScores

NAMES = ("road", "sky", "a very long class name that cannot fit into a small frame")
SCORES = ClassScores(indices=(0, 2), names=(NAMES[0], NAMES[2]), probabilities=(0.75, 0.25))


@pytest.mark.parametrize("shape", [(32, 32, 3), (96, 96, 3), (360, 480, 3), (1080, 1920, 3)])
def test_every_frame_size_is_drawn_on_a_copy(shape: tuple[int, int, int]) -> None:
    frame = np.full(shape, 90, dtype=np.uint8)
    class_map = np.zeros(shape[:2], dtype=np.uint8)
    class_map[: shape[0] // 2] = 1
    for drawn in (draw_scores(frame, SCORES), draw_class_map(frame, class_map, NAMES), draw_line(frame, "12.3 ms")):
        assert drawn.shape == shape
        assert not np.array_equal(drawn, frame)
    assert (frame == 90).all()


def test_colours_are_blended_by_their_opacity() -> None:
    frame = np.full((40, 40, 3), 100, dtype=np.uint8)
    class_map = np.full((40, 40), 1, dtype=np.uint8)
    palette = ((0, 0, 0), (200, 0, 50), (0, 0, 0))
    drawn = draw_class_map(frame, class_map, NAMES, palette, Style(opacity=0.5, legend="none"))
    assert (drawn == (150, 50, 75)).all()


def test_values_that_are_no_class_leave_the_frame_as_it_is() -> None:
    frame = np.random.default_rng(0).integers(0, 256, size=(20, 20, 3), dtype=np.uint8)
    class_map = np.full((20, 20), 255, dtype=np.uint8)
    assert np.array_equal(draw_class_map(frame, class_map, NAMES), frame)


@pytest.mark.parametrize("legend", ["auto", "none"])
def test_background_is_not_tinted_unless_a_palette_says_so(legend: LegendPlace) -> None:
    frame = np.random.default_rng(0).integers(0, 256, size=(60, 60, 3), dtype=np.uint8)
    names, class_map = ("background", "car"), np.zeros((60, 60), dtype=np.uint8)
    assert np.array_equal(draw_class_map(frame, class_map, names, style=Style(legend=legend)), frame)
    assert not np.array_equal(
        draw_class_map(frame, class_map, names, ((0, 0, 0), (1, 2, 3)), Style(legend=legend)), frame
    )
    class_map[30:] = 1
    drawn = draw_class_map(frame, class_map, names, style=Style(legend="none"))
    assert np.array_equal(drawn[:30], frame[:30]) and not np.array_equal(drawn[30:], frame[30:])


def test_wrong_sizes_are_refused() -> None:
    frame = np.zeros((20, 20, 3), dtype=np.uint8)
    with pytest.raises(UsageError, match="does not lie over a frame"):
        draw_class_map(frame, np.zeros((10, 20), dtype=np.uint8), NAMES)
    with pytest.raises(UsageError, match="1 colours for 3 classes"):
        draw_class_map(frame, np.zeros((20, 20), dtype=np.uint8), NAMES, ((1, 2, 3),))
