"""A legend covers what matters least, and does not jump in a film."""

from collections.abc import Callable

import numpy as np
import pytest

from edge.vision.legend import FilmMemory, corner, of_classes, of_detail
from edge.vision.overlay import Style, draw_boxes, draw_class_map, draw_line, draw_scores
from edge.vision.palette import contrast
from edge.vision.postprocess import ClassScores

NAMES = ("road", "sky", "car")
HW = (240, 320)
PANEL = (60, 80)
SCORES = ClassScores(indices=(0, 2), names=("road", "car"), probabilities=(0.75, 0.25))


def quiet_but_for(*parts: tuple[slice, slice]) -> np.ndarray:
    importance = np.zeros((72, 96), np.float32)
    for part in parts:
        importance[part] = 1
    return importance


LEFT, RIGHT, UPPER, LOWER = slice(0, 30), slice(60, 96), slice(0, 25), slice(45, 72)


def test_it_stands_where_nothing_matters() -> None:
    assert corner(quiet_but_for(), PANEL, HW) == (0, 0)
    assert corner(quiet_but_for((UPPER, LEFT)), PANEL, HW) == (0, 240)
    assert corner(quiet_but_for((UPPER, LEFT), (UPPER, RIGHT)), PANEL, HW) == (180, 0)
    everywhere = quiet_but_for((UPPER, LEFT), (UPPER, RIGHT), (LOWER, LEFT), (LOWER, RIGHT))
    assert corner(everywhere, PANEL, HW) == (90, 0)


def test_a_small_object_is_not_covered_by_the_legend() -> None:
    """Wherever it stands: the class of few pixels matters as much as the sky."""
    frame = np.full((*HW, 3), 90, np.uint8)
    for top, left in ((5, 5), (5, 270), (180, 5), (180, 270), (100, 5)):
        class_map = np.zeros(HW, np.uint8)
        class_map[:120] = 1
        class_map[top : top + 30, left : left + 40] = 2
        drawn, bare = (
            draw_class_map(frame, class_map, NAMES, style=Style(legend=legend)) for legend in ("auto", "none")
        )
        assert np.array_equal(drawn[class_map == 2], bare[class_map == 2]) and not np.array_equal(drawn, bare)


def test_what_is_no_class_does_not_matter() -> None:
    class_map = np.zeros((40, 60), np.uint8)
    class_map[:, :30] = 255
    importance = of_classes(class_map, (255,))
    assert importance[:, :29].sum() == 0 and importance.sum() == pytest.approx(2)


def test_detail_matters_and_most_in_the_middle() -> None:
    frame = np.full((96, 96, 3), 90, np.uint8)
    assert of_detail(frame).sum() == 0
    frame[40:56, 40:56] = frame[2:18, 2:18] = 200
    importance = of_detail(frame)
    assert importance[36:60, 36:60].sum() > 0.6 and importance.sum() == pytest.approx(1)


def test_in_a_film_it_moves_only_when_another_place_stays_much_better() -> None:
    memory, busy, calm = FilmMemory(), quiet_but_for((UPPER, LEFT)), quiet_but_for()
    places = [corner(calm, PANEL, HW, memory)]
    places += [corner(busy, PANEL, HW, memory) for _ in range(5)]
    places += [corner(calm, PANEL, HW, memory)]
    assert set(places) == {(0, 0)}
    places = [corner(busy, PANEL, HW, memory) for _ in range(20)]
    assert places[0] == (0, 0) and places[-1] == (0, 240) and len(set(places)) == 2


def test_it_makes_way_for_what_moves() -> None:
    """A plain picture of one class, in which something of the same class comes and goes where the legend stands."""
    memory, rng = FilmMemory(), np.random.default_rng(0)
    style, class_map = Style(memory=memory), np.zeros(HW, np.uint8)
    places = []
    for _ in range(30):
        frame = np.full((*HW, 3), 90, np.uint8)
        frame[:60, :100] = rng.integers(0, 2, (60, 100, 1)) * 255
        bare = draw_class_map(frame, class_map, NAMES, style=Style(legend="none"))
        covered = np.argwhere((draw_class_map(frame, class_map, NAMES, style=style) != bare).any(axis=2))
        places.append(tuple(covered.min(axis=0).tolist()))
    assert places[0] == (0, 0) and places[-1][1] > 200


@pytest.mark.parametrize("hw", [(240, 320), (320, 240)])
def test_outside_it_covers_nothing_and_the_size_stays(hw: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*hw, 3), dtype=np.uint8)
    outside, none = Style(legend="outside"), Style(legend="none")
    shapes = set()
    for classes in (1, 3):
        class_map = (np.arange(hw[0])[:, None] * classes // hw[0] + np.zeros(hw)).astype(np.uint8)
        drawn = draw_class_map(frame, class_map, NAMES, style=outside)
        assert np.array_equal(drawn[: hw[0], : hw[1]], draw_class_map(frame, class_map, NAMES, style=none))
        shapes.add(drawn.shape)
    assert len(shapes) == 1
    drawn = draw_scores(frame, SCORES, outside)
    assert np.array_equal(drawn[: hw[0], : hw[1]], frame) and drawn.shape != frame.shape


GROUNDS = [0, 128, 255]


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("side", [120, 288, 720])
def test_text_is_told_from_its_ground_on_every_picture(ground: int, side: int) -> None:
    """White letters: the colours that fill the panel, the grounds under them, are 4.5 : 1 from it at least."""
    frame = np.full((side, side * 4 // 3, 3), ground, np.uint8)
    drawing: list[Callable[[], np.ndarray]] = [lambda: draw_scores(frame, SCORES), lambda: draw_line(frame, "5.1 ms")]
    for draw in drawing:
        drawn = draw()
        rows, columns = np.nonzero((drawn != frame).any(axis=2))
        panel = drawn[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].reshape(-1, 3)
        colours, counts = np.unique(panel, axis=0, return_counts=True)
        common = colours[(counts > 0.08 * len(panel)) & (colours.min(axis=1) < 255)].tolist()  # but for the letters
        assert common
        for red, green, blue in common:
            assert contrast((red, green, blue), (255, 255, 255)) >= 4.5


@pytest.mark.parametrize("side", [120, 288, 480, 720, 1080])
def test_no_letter_stands_beyond_its_ground(side: int) -> None:
    frame = np.full((side, side * 2, 3), 128, np.uint8)
    drawn = draw_line(frame, "mobilenet_v2: 5.1 of 5.7 ms, 24.9 fps")[:, :, 0].astype(int)
    letters, ground = np.flatnonzero((drawn > 200).any(axis=0)), np.flatnonzero((drawn != 128).any(axis=0))
    assert ground[0] < letters[0] and letters[-1] < ground[-1]


def test_a_box_is_seen_on_ground_of_its_own_colour() -> None:
    colour = (0, 75, 60)
    frame = np.full((*HW, 3), colour, np.uint8)
    drawn = draw_boxes(frame, np.array([[50, 60, 150, 200]]), None, np.array([0]), ("car",), (colour,))
    row = {tuple(pixel) for pixel in drawn[130, 40:60].tolist()}
    assert max(contrast(colour, (pixel[0], pixel[1], pixel[2])) for pixel in row) > 4.5


def test_what_is_improbable_takes_no_room_in_a_picture_and_a_films_list_keeps_its_length() -> None:
    frame = np.full((300, 400, 3), 90, np.uint8)
    for probabilities, of_picture in (((0.9, 0.05, 0.04, 0.01), 4), ((0.99, 0.008, 0.001, 0.001), 1)):
        scores = ClassScores(indices=(0, 1, 2, 3), names=("a", "b", "c", "d"), probabilities=probabilities)
        heights = []
        for style in (Style(), Style(memory=FilmMemory())):
            covered = (draw_scores(frame, scores, style) != 90).any(axis=(1, 2))
            heights.append(int(covered.sum()))
        line = 300 // 20
        assert heights == [of_picture * line + 6, 3 * line + 6]
