"""What a film is told by before it is decoded: its first bytes, and how far its count of frames holds."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera.sources.film_file import check_film, counts_exactly
from edge.errors import DataError


def film(path: Path, code: str) -> bytes:
    """Five frames by OpenCV."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*code), 10.0, (32, 16))
    for level in range(5):
        writer.write(np.full((16, 32, 3), 40 * level, np.uint8))
    writer.release()
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "code", "exact"), [("a.mp4", "mp4v", True), ("a.avi", "MJPG", True), ("a.mkv", "mp4v", False)]
)
def test_mp4_and_avi_state_a_count_and_mkv_a_duration(tmp_path: Path, name: str, code: str, exact: bool) -> None:
    film(tmp_path / name, code)
    check_film(tmp_path / name)
    assert counts_exactly(tmp_path / name) is exact


def test_a_trimmed_film_gives_fewer_frames_than_it_holds(tmp_path: Path) -> None:
    """An edit list that begins at the third of five frames, as phones write it."""
    data = bytearray(film(tmp_path / "a.mp4", "mp4v"))
    scale = struct.unpack_from(">I", data, data.find(b"mdhd") + 16)[0]
    struct.pack_into(">i", data, data.find(b"elst") + 16, scale * 2 // 10)
    (tmp_path / "a.mp4").write_bytes(data)
    assert not counts_exactly(tmp_path / "a.mp4")


@pytest.mark.unhurried
def test_no_damage_of_the_index_is_an_error(tmp_path: Path) -> None:
    """Every byte of it changed, and the file cut there, counts as stated or not."""
    data = film(tmp_path / "a.mp4", "mp4v")
    start = data.find(b"moov") - 4
    for place in range(start, len(data)):
        (tmp_path / "b.mp4").write_bytes(data[:place] + b"\xff" + data[place + 1 :])
        counts_exactly(tmp_path / "b.mp4")
        (tmp_path / "b.mp4").write_bytes(data[:place])
        counts_exactly(tmp_path / "b.mp4")
    (tmp_path / "b.mp4").write_bytes(data[:start])
    assert not counts_exactly(tmp_path / "b.mp4")


@pytest.mark.parametrize("text", [b"ffconcat version 1.0\nfile other.mp4\n", b"#EXTM3U\nother.ts\n", b"v=0\r\n", b""])
def test_a_text_that_names_other_files_is_no_film(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a.avi").write_bytes(text)
    with pytest.raises(DataError, match="is not a video"):
        check_film(tmp_path / "a.avi")
