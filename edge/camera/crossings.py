"""Who crosses a line, and in which direction: once per crossing, however long somebody stands on it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from edge.camera.regions import Point
from edge.camera.tracks import Track
from edge.errors import UsageError

Direction = Literal["in", "out"]


@dataclass(frozen=True)
class Line:
    """A line across the picture, told in shares of its sides.

    Attributes:
        start, end: (x, y) from 0 to 1. For somebody who walks from start to end, `in` is from the left to the right.
        margin: how far beyond the line, as a share of the picture's shorter side, a crossing counts, and the way back.
    """

    start: Point
    end: Point
    margin: float = 0.02

    def __post_init__(self) -> None:
        if self.start == self.end or not all(0 <= value <= 1 for value in (*self.start, *self.end)):
            raise UsageError(f"a line from {self.start} to {self.end}; two places with shares from 0 to 1 are needed")
        if not 0 <= self.margin < 0.5:
            raise UsageError(f"a margin of {self.margin}; a share from 0 to 0.5 is needed")


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """A track that crossed."""

    direction: Direction
    track: Track


@dataclass(kw_only=True)
class _Path:
    """How a track stands to the line: on which side it was surely last, where it was last, when."""

    side: int = 0
    place: tuple[float, float] = (0.0, 0.0)
    within: bool = False
    seen_s: float = field(default=0.0)


class LineCounter:
    """Counts tracks across a line; a track's place is the middle of its box's lower edge, where feet or wheels are."""

    def __init__(self, line: Line, *, forget_s: float = 10.0) -> None:
        """`forget_s`: a track that was not seen for longer does not come back."""
        self._line, self._forget_s = line, forget_s
        self._paths: dict[int, _Path] = {}
        self.counts: dict[Direction, int] = {"in": 0, "out": 0}

    def update(self, tracks: Sequence[Track], frame_hw: tuple[int, int], time_s: float) -> list[Crossing]:
        """Take the tracks of a time, in pixels of the frame; those that crossed now, beyond the margin."""
        height, width = frame_hw
        (x0, y0), (x1, y1) = ((x * width, y * height) for x, y in (self._line.start, self._line.end))
        along = (x1 - x0, y1 - y0)
        length = (along[0] ** 2 + along[1] ** 2) ** 0.5
        margin = self._line.margin * min(height, width)
        crossings = []
        for track in tracks:
            left, _, right, bottom = track.box.tolist()
            foot = ((left + right) / 2 - x0, bottom - y0)
            # Distance from the line, positive on the right, and how far along it, from 0 to 1.
            place = ((along[0] * foot[1] - along[1] * foot[0]) / length, _dot(along, foot) / length**2)
            path = self._paths.get(track.number)
            if path is None:
                path = self._paths[track.number] = _Path(place=place)
            before = path.place
            if (before[0] < 0) != (place[0] < 0):
                share = before[0] / (before[0] - place[0])
                path.within = 0 <= before[1] + share * (place[1] - before[1]) <= 1
            path.place, path.seen_s = place, time_s
            if abs(place[0]) < margin:
                continue
            side = 1 if place[0] >= 0 else -1
            if path.side and side != path.side and path.within:
                direction: Direction = "in" if side > 0 else "out"
                self.counts[direction] += 1
                crossings.append(Crossing(direction=direction, track=track))
            path.side = side
        self._paths = {number: path for number, path in self._paths.items() if time_s - path.seen_s <= self._forget_s}
        return crossings


def _dot(first: tuple[float, float], second: tuple[float, float]) -> float:
    return first[0] * second[0] + first[1] * second[1]
