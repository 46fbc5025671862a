"""A track is one object, and a crossing is counted once."""

import numpy as np
import pytest

from edge.camera.crossings import Line, LineCounter
from edge.camera.tracks import Tracker, Tracking
from edge.errors import UsageError

Place = tuple[float, float]
SIZE_HW = (200, 300)
LEVEL = Line((0.0, 0.5), (1.0, 0.5))  # `in` is downwards


def boxes(*feet: Place, width: float = 20, height: float = 40) -> np.ndarray:
    """Boxes whose lower edges' middles are given, in pixels."""
    return np.array([(x - width / 2, y - height, x + width / 2, y) for x, y in feet]).reshape(-1, 4)


def counted(line: Line, frames: list[list[Place]], **tracking: float) -> tuple[list[str], dict[str, int]]:
    """Directions in their order, and the counts, of frames of feet at 10 frames per second."""
    tracker, counter = Tracker(Tracking(**tracking)), LineCounter(line)  # type: ignore[arg-type]
    directions = []
    for index, feet in enumerate(frames):
        tracks = tracker.update(boxes(*feet), np.zeros(len(feet), int), index / 10)
        directions += [crossing.direction for crossing in counter.update(tracks, SIZE_HW, index / 10)]
    return directions, dict(counter.counts)


def walk(start: Place, end: Place, steps: int) -> list[Place]:
    return [(x, y) for x, y in np.linspace(start, end, steps).tolist()]


def test_two_who_pass_each_other_keep_their_tracks() -> None:
    tracker = Tracker()
    ways = walk((40, 80), (260, 80), 23), walk((260, 100), (40, 100), 23)
    for index, feet in enumerate(zip(*ways, strict=True)):
        tracks = tracker.update(boxes(*feet), np.zeros(2, int), index / 10)
    assert {track.number: track.box[0] for track in tracks} == {1: 250, 2: 30}


def test_a_box_joins_no_track_of_another_class_and_one_track_only() -> None:
    tracker = Tracker(Tracking(hits=1))
    tracker.update(boxes((50, 100)), np.array([0]), 0.0)
    (other,) = tracker.update(boxes((50, 100)), np.array([1]), 0.1)
    assert (other.number, other.label) == (2, 1)
    twice = tracker.update(boxes((50, 100), (52, 100)), np.array([0, 0]), 0.2)
    assert sorted(track.number for track in twice) == [1, 3]


def test_a_track_is_found_again_where_it_would_be_by_now() -> None:
    """Six frames without a box, in which it moves on by more than its own width."""
    way = walk((20, 100), (280, 100), 40)
    tracker, numbers = Tracker(), set()
    for index, foot in enumerate(way):
        feet = [] if 15 <= index < 21 else [foot]
        numbers |= {track.number for track in tracker.update(boxes(*feet), np.zeros(len(feet), int), index / 10)}
    assert way[21][0] - way[14][0] > 2 * 20 and numbers == {1}


def test_one_flash_is_no_track() -> None:
    assert Tracker().update(boxes((50, 100)), np.zeros(1, int), 0.0) == []


def test_directions_are_told_apart_and_turning_back_is_not_counted() -> None:
    down, up = walk((100, 40), (100, 180), 15), walk((200, 180), (200, 40), 15)
    back = walk((100, 40), (100, 98), 8) + walk((100, 98), (100, 40), 8)
    assert counted(LEVEL, [[foot] for foot in down]) == (["in"], {"in": 1, "out": 0})
    assert counted(LEVEL, [[foot] for foot in up]) == (["out"], {"in": 0, "out": 1})
    assert counted(LEVEL, [[foot] for foot in back]) == ([], {"in": 0, "out": 0})
    assert counted(Line(LEVEL.end, LEVEL.start), [[foot] for foot in down])[0] == ["out"]


def test_who_stands_on_the_line_is_counted_once() -> None:
    jitter = [(100.0, 100 + (3.0 if index % 2 else -3.0)) for index in range(40)]
    frames = [[foot] for foot in [*walk((100, 40), (100, 97), 8), *jitter, *walk((100, 103), (100, 180), 10)]]
    assert counted(LEVEL, frames)[0] == ["in"]
    assert len(counted(Line((0, 0.5), (1, 0.5), margin=0), frames)[0]) > 20


def test_side_by_side_they_are_two() -> None:
    pairs = zip(walk((100, 40), (100, 180), 15), walk((128, 40), (128, 180), 15), strict=True)
    assert counted(LEVEL, [list(feet) for feet in pairs]) == (["in", "in"], {"in": 2, "out": 0})


def test_who_walks_around_the_end_of_a_line_does_not_cross_it() -> None:
    short = Line((0.5, 0.5), (1.0, 0.5))
    assert counted(short, [[foot] for foot in walk((60, 40), (60, 180), 15)])[0] == []
    assert counted(short, [[foot] for foot in walk((250, 40), (250, 180), 15)])[0] == ["in"]


def test_a_crossing_between_two_frames_that_are_far_apart_counts() -> None:
    assert counted(LEVEL, [[(100, 80)], [(100, 90)], [], [], [(100, 125)], [(100, 130)]])[0] == ["in"]


def test_a_slanting_line_has_its_right_and_its_left() -> None:
    line = Line((0.5, 1.0), (0.5, 0.0))  # upwards: the right is the right
    assert counted(line, [[foot] for foot in walk((60, 100), (240, 100), 15)])[0] == ["in"]


def test_what_cannot_be_is_refused() -> None:
    for line in (((0.5, 0.5), (0.5, 0.5)), ((0, 0), (2, 0))):
        with pytest.raises(UsageError):
            Line(*line)
    with pytest.raises(UsageError):
        Tracking(overlap=0)
