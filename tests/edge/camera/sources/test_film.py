"""A film is read to its stated end, over damaged places, and says what was missing."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera.capture import Capture
from edge.camera.feed import Feed, UntilFailure
from edge.camera.handover import Finished
from edge.camera.sources.film import FilmSource, open_film
from edge.errors import DataError


def wide_film(path: Path, code: str) -> bytes:
    """60 frames of noise that moves."""
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*code), 10.0, (64, 48))
    for shift in range(60):
        writer.write(np.roll(noise, shift, 1))
    writer.release()
    return path.read_bytes()


def test_a_film_that_is_cut_short_says_how_many_frames_were_read(tmp_path: Path) -> None:
    """An AVI cut in half: the frames before the cut come, then the line."""
    data = wide_film(tmp_path / "a.avi", "MJPG")
    (tmp_path / "a.avi").write_bytes(data[: len(data) // 2])
    source, read = open_film(tmp_path / "a.avi"), []
    with pytest.raises(DataError, match=r"cut short: 2\d of 60 frames were read$"):
        read.extend(source.frames())
    assert 20 <= len(read) < 30


class Reads:
    """A capture that fails where it is told to."""

    def __init__(self, pattern: str, stated: float) -> None:
        self._pattern, self._stated = iter(pattern), stated

    def get(self, key: int) -> float:
        return self._stated if key == cv2.CAP_PROP_FRAME_COUNT else 25.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        there = next(self._pattern, "-") == "x"
        return there, np.zeros((4, 4, 3), np.uint8) if there else None

    def release(self) -> None:
        pass


@pytest.mark.parametrize(
    ("pattern", "stated", "exact", "names", "told"),
    [
        ("xxxx", 4, True, "0123", None),
        ("x--x", 4, True, "03", "2 of 4"),
        ("xxx", 4, True, "012", "3 of 4"),
        ("x-xx", 0, False, "023", "3 of about 4"),
        ("xxxxxxxxx", 10, False, "012345678", None),
        ("xxxxxxxx", 10, False, "01234567", "8 of about 10"),
        ("xxxxx", 4, True, "01234", None),
        ("xx", -9.2e18, True, "01", None),
    ],
)
def test_a_film_is_read_over_damaged_places(
    pattern: str, stated: float, exact: bool, names: str, told: str | None
) -> None:
    """Up to the count that the container states; where that is an estimate, a tenth may be missing."""
    with Capture(FilmSource(Reads(pattern, stated), "film", exact=exact)) as capture:
        failing = UntilFailure(capture)
        feed = Feed(failing)
        found = []
        with pytest.raises(Finished):
            while True:
                taken = feed.take(1)
                found += [] if taken is None else [taken[1].name]
    assert "".join(found) == names
    assert (failing.failure is None) if told is None else (f"{told} frames were read" in str(failing.failure))
