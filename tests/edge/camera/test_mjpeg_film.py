"""A film is whole frames wherever it is cut."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera.mjpeg_film import MjpegFilm, finish_cut_film, is_our_film
from edge.camera.sources.opening import open_source

SIZE_WH = (48, 32)


def jpeg(value: int) -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((SIZE_WH[1], SIZE_WH[0], 3), 10 * value, np.uint8))[1].tobytes())


def greys(path: Path) -> list[int]:
    """The frames of a film by their grey, as FFmpeg decodes them."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    found = []
    while True:
        there, image = capture.read()
        if not there:
            break
        found.append(round(image.mean() / 10))
    capture.release()
    return found


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """A film of five frames whose writer never finished it."""
    film = MjpegFilm(tmp_path / "whole.avi", SIZE_WH, 12.5)
    for index in range(1, 6):
        film.add(jpeg(index))
    film.sync()
    path = tmp_path / "cut.avi"
    path.write_bytes((tmp_path / "whole.avi").read_bytes())
    film.close()
    return path


def test_a_finished_film_states_its_frames_and_rate(cut: Path) -> None:
    whole = cut.with_name("whole.avi")
    capture = cv2.VideoCapture(str(whole), cv2.CAP_FFMPEG)
    stated = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    size_wh = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    capture.set(cv2.CAP_PROP_POS_FRAMES, 3)
    _, image = capture.read()
    capture.release()
    assert (stated, size_wh, round(image.mean() / 10)) == ((5, 12.5), SIZE_WH, 4)
    assert int.from_bytes(whole.read_bytes()[4:8], "little") == whole.stat().st_size - 8
    assert len(list(open_source(str(whole)).frames())) == 5


def test_a_film_that_was_not_finished_plays(cut: Path) -> None:
    assert greys(cut) == [1, 2, 3, 4, 5]


def test_a_film_cut_at_any_byte_is_finished_with_its_whole_frames(cut: Path) -> None:
    data, one = cut.read_bytes(), len(jpeg(5)) + len(jpeg(5)) % 2 + 8
    for missing in (1, 2, 3, one - 9, one - 8, one - 1, one, one + 1):
        cut.write_bytes(data[:-missing])
        frames = 5 if missing == len(jpeg(5)) % 2 else 4 if missing <= one + len(jpeg(4)) % 2 else 3
        assert finish_cut_film(cut) == frames, missing
        assert greys(cut) == [1, 2, 3, 4, 5][:frames], missing
        assert finish_cut_film(cut) is None


def test_zeros_at_the_end_are_no_frames(cut: Path) -> None:
    """As a power cut leaves them: the length had reached the disk, and the bytes had not."""
    data = cut.read_bytes()
    cut.write_bytes(data + bytes(4000))
    assert finish_cut_film(cut) == 5
    cut.write_bytes(data[: -len(jpeg(5)) + 20] + bytes(len(jpeg(5)) - 20))
    assert (finish_cut_film(cut), greys(cut)) == (4, [1, 2, 3, 4])


def test_a_film_without_a_frame_is_removed(cut: Path) -> None:
    cut.write_bytes(cut.read_bytes()[:300])
    assert finish_cut_film(cut) == 0 and not cut.exists()


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    """A film of another program, a pipe, a link, and a film that is being written in this moment."""
    other = tmp_path / "other.avi"
    writer = cv2.VideoWriter(str(other), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 25.0, SIZE_WH)
    writer.write(np.zeros((SIZE_WH[1], SIZE_WH[0], 3), np.uint8))
    writer.release()
    os.mkfifo(tmp_path / "pipe.avi")
    before = other.read_bytes()
    for name in ("other.avi", "pipe.avi"):
        assert not is_our_film(tmp_path / name)
    film = MjpegFilm(tmp_path / "live.avi", SIZE_WH, 25.0)
    (tmp_path / "link.avi").symlink_to("live.avi")
    film.add(jpeg(1))
    assert finish_cut_film(other) is None and other.read_bytes() == before
    assert is_our_film(tmp_path / "live.avi") and not is_our_film(tmp_path / "link.avi")
    assert finish_cut_film(tmp_path / "live.avi") is None
    film.close()
    assert greys(tmp_path / "live.avi") == [1]


def test_a_rate_that_was_measured_is_the_films(tmp_path: Path) -> None:
    film = MjpegFilm(tmp_path / "film.avi", SIZE_WH, 25.0)
    for _ in range(3):
        film.add(jpeg(1), 7.25)
    film.close()
    capture = cv2.VideoCapture(str(tmp_path / "film.avi"), cv2.CAP_FFMPEG)
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(7.25)
    capture.release()
