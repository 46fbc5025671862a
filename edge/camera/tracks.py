"""Boxes of one frame after another, joined to tracks by their overlap (Bochinski et al., AVSS 2017) and motion."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.vision.box_overlaps import box_overlaps

Boxes = NDArray[np.float64]
_STEADY = 0.5  # share of the newest step in a track's velocity


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """How boxes are joined.

    Attributes:
        overlap: the least intersection over union of a box with the place where its track is expected.
        hits: so many boxes make a track; before, it is not told of.
        lost_s: a track that was not seen for so long is over; until then it is expected to move on as it did.
    """

    overlap: float = 0.2
    hits: int = 2
    lost_s: float = 1.0

    def __post_init__(self) -> None:
        if not (0 < self.overlap <= 1 and self.hits >= 1 and self.lost_s >= 0):
            raise UsageError(f"{self}: an overlap above 0 and at most 1, at least 1 hit, and a time are needed")


@dataclass(kw_only=True, eq=False)
class Track:
    """One object over time.

    Attributes:
        number: counts tracks from 1.
        label: the class of its boxes.
        box: float64 (4,), x0, y0, x1, y1, as last seen; seen_s: when.
        hits: boxes so far.
    """

    number: int
    label: int
    box: Boxes
    seen_s: float
    hits: int = 1
    _velocity: Boxes = field(default_factory=lambda: np.zeros(4))

    def expected(self, time_s: float) -> Boxes:
        """Where its box is at a time, if it moves on as it did."""
        return self.box + self._velocity * (time_s - self.seen_s)

    def follow(self, box: Boxes, time_s: float) -> None:
        """Take its box of a time."""
        passed_s = time_s - self.seen_s
        if passed_s > 0:
            step = (box - self.box) / passed_s
            self._velocity = step if self.hits == 1 else _STEADY * step + (1 - _STEADY) * self._velocity
        self.box, self.seen_s, self.hits = box, time_s, self.hits + 1


class Tracker:
    """Tracks of boxes; see `Tracking`."""

    def __init__(self, tracking: Tracking | None = None) -> None:
        self._tracking = tracking or Tracking()
        self._tracks: list[Track] = []
        self._numbers = 0

    def update(self, boxes: NDArray[Any], labels: NDArray[Any], time_s: float) -> list[Track]:
        """Take the boxes of a time (never before the last one); the tracks that were seen in them, if they are sure.

        A box joins the track of its class with which it overlaps most, those that overlap most first; one box, one
        track.

        Args:
            boxes: (n, 4), x0, y0, x1, y1. labels: (n,).
        """
        told = self._tracking
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        self._tracks = [track for track in self._tracks if time_s - track.seen_s <= told.lost_s]
        free = np.ones(len(boxes), np.bool_)
        seen = []
        for track, row in self._pairs(boxes, np.asarray(labels), time_s):
            track.follow(boxes[row], time_s)
            free[row] = False
            seen.append(track)
        for index in np.flatnonzero(free):
            self._numbers += 1
            new = Track(number=self._numbers, label=int(labels[index]), box=boxes[index], seen_s=time_s)
            self._tracks.append(new)
            seen.append(new)
        return [track for track in seen if track.hits >= told.hits]

    def _pairs(self, boxes: Boxes, labels: NDArray[Any], time_s: float) -> list[tuple[Track, int]]:
        """Tracks with their boxes' rows."""
        if not self._tracks or not len(boxes):
            return []
        expected = np.stack([track.expected(time_s) for track in self._tracks])
        shared = box_overlaps(expected, boxes)  # (tracks, boxes)
        shared[np.array([track.label for track in self._tracks])[:, None] != labels[None]] = 0
        pairs: list[tuple[Track, int]] = []
        for place in np.argsort(-shared, axis=None, kind="stable"):
            row, column = divmod(int(place), shared.shape[1])
            if shared[row, column] < self._tracking.overlap:
                continue
            pairs.append((self._tracks[row], column))
            shared[row, :] = shared[:, column] = 0
        return pairs
