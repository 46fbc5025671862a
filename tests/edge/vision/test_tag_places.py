"""Tags of boxes: above, within or below them, in the frame, none over another while there is room."""

import numpy as np
from numpy.typing import NDArray

from edge.vision.overlay import draw_boxes
from edge.vision.tag_places import tag_places

FRAME = (120, 160)


def places(*boxes: tuple[int, int, int, int], width: int = 40) -> list[list[int]]:
    return tag_places(np.array(boxes).reshape(-1, 4), [width] * len(boxes), 10, FRAME).tolist()


def overlapping(tags: NDArray[np.int64]) -> int:
    """How many pairs of tags of 40 x 10 share a pixel."""
    apart = np.abs(tags[:, None] - tags[None])
    return int(((apart < (40, 10)).all(axis=2).sum() - len(tags)) // 2)


def test_a_tag_stands_above_its_box_and_within_or_below_it_where_there_is_no_room() -> None:
    assert places((50, 40, 90, 80)) == [[50, 30]]
    assert places((50, 4, 90, 80)) == [[50, 4]]
    assert places((50, 4, 90, 16)) == [[50, 16]]  # too low to be seen beside a tag within it
    assert places((50, -20, 90, 140)) == [[50, 0]]
    assert places((140, 40, 170, 80)) == [[120, 30]] and places((-9, 40, 20, 80)) == [[0, 30]]
    assert places() == []


def test_the_second_of_two_boxes_at_one_place_has_its_tag_within() -> None:
    assert places((50, 40, 90, 80), (52, 42, 92, 82)) == [[50, 30], [52, 42]]
    assert places((50, 40, 90, 80), (52, 42, 92, 52)) == [[50, 30], [52, 52]]


def test_tags_of_a_crowd_stay_readable() -> None:
    """Ten boxes in twelve frames, each tag a quarter of the frame's width: above the boxes 70 pairs would overlap."""
    before = after = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        corners = rng.integers(0, (120, 80), (10, 2))
        boxes = np.concatenate([corners, corners + rng.integers(25, 45, (10, 2))], axis=1)
        found = tag_places(boxes, [40] * 10, 10, FRAME)
        assert found.min() >= 0 and (found <= (120, 110)).all()
        above = np.stack([boxes[:, 0].clip(0, 120), (boxes[:, 1] - 10).clip(0)], axis=1)
        before += overlapping(above)
        after += overlapping(found)
    assert before == 70 and after <= 8


def test_where_everything_is_taken_least_is_covered() -> None:
    crowd = [(10, 10, 40, 20)] * 20
    found = tag_places(np.array(crowd), [150] * 20, 10, FRAME)
    assert len({tuple(place) for place in found.tolist()}) > 1
    assert np.array_equal(found, tag_places(np.array(crowd), [150] * 20, 10, FRAME))


def test_boxes_are_drawn_with_both_tags_to_be_read() -> None:
    frame = np.full((240, 320, 3), 128, np.uint8)
    boxes = np.array([[100.0, 60.0, 180.0, 160.0], [103.0, 62.0, 183.0, 162.0]])
    drawn = draw_boxes(
        frame, boxes, np.array([0.9, 0.6]), np.array([0, 1]), ("red", "blue"), ((250, 0, 0), (0, 0, 250))
    )
    assert (drawn[50:60, 100:125] == (250, 0, 0)).all(axis=2).mean() > 0.4
    assert (drawn[63:72, 103:128] == (0, 0, 250)).all(axis=2).mean() > 0.4
    assert (frame == 128).all()


def test_a_frame_of_few_pixels_is_drawn_on() -> None:
    drawn = draw_boxes(
        np.zeros((4, 4, 3), np.uint8), np.array([[0.0, 0.0, 4.0, 4.0]]), np.array([0.5]), np.array([0]), ("a",)
    )
    assert drawn.shape == (4, 4, 3)
