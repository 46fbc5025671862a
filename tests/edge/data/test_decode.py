"""Decoding refuses what OpenCV lets pass."""

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.data.decode import image_files, read_file, read_image
from edge.errors import DataError
from tests.support.indexed_png import indexed_png

PIXELS = np.random.default_rng(0).integers(0, 256, size=(24, 32, 3), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    ordered = pixels if pixels.ndim == 2 else pixels[:, :, ::-1]
    path.write_bytes(cv2.imencode(path.suffix, ordered)[1].tobytes())
    return path


def test_image_is_rgb(tmp_path: Path) -> None:
    assert np.array_equal(read_image(save(tmp_path / "a.png", PIXELS)), PIXELS)


def test_grey_image_is_repeated_over_three_channels(tmp_path: Path) -> None:
    grey = PIXELS[:, :, 0]
    assert np.array_equal(read_image(save(tmp_path / "a.png", grey)), np.repeat(grey[:, :, None], 3, axis=2))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_truncated_image_is_refused_by_name(tmp_path: Path, suffix: str, share: float) -> None:
    path = save(tmp_path / f"cut{suffix}", PIXELS)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match=f"cut{suffix}: .*(truncated|not an image|damaged)"):
        read_image(path)


def test_png_with_one_flipped_bit_anywhere_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "flip.png", PIXELS[:4, :4])
    data = path.read_bytes()
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 16]) + data[position + 1 :])
        with pytest.raises(DataError, match=r"flip\.png"):
            read_image(path)


@pytest.mark.parametrize("data", [b"hello", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04" + bytes(100)])
def test_foreign_file_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"x\.jpg: "):
        read_image(path)


def test_missing_empty_and_changed_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_file(tmp_path / "none.png")
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(DataError, match="empty"):
        read_file(tmp_path / "empty.png")
    (tmp_path / "a.png").write_bytes(b"1")
    with pytest.raises(DataError, match="changed since it was pinned"):
        read_file(tmp_path / "a.png", "0" * 64)


def test_image_files_are_sorted_and_leave_out_the_rest(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "notes.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"x")
    assert [path.name for path in image_files(tmp_path)] == ["a.JPG", "b.png"]
    with pytest.raises(DataError, match="no such folder"):
        image_files(tmp_path / "none")


@pytest.mark.unhurried
def test_what_is_damaged_is_said_by_our_line_alone(tmp_path: Path) -> None:
    """OpenCV and libpng print lines of their own; a process shows them, because they go around `sys.stderr`."""
    huge = bytearray(indexed_png(np.zeros((4, 4), dtype=np.uint8), 8, bytes(3)))
    huge[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    huge[29:33] = struct.pack(">I", zlib.crc32(huge[12:29]))
    (tmp_path / "huge.png").write_bytes(huge)
    for suffix in (".bmp", ".ppm", ".tiff", ".jpg", ".png", ".webp"):
        path = save(tmp_path / f"cut{suffix}", PIXELS)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    whole = save(tmp_path / "closed.jpg", PIXELS).read_bytes()
    (tmp_path / "closed.jpg").write_bytes(whole[: len(whole) * 2 // 3] + b"\xff\xd9")
    code = """
import sys
from pathlib import Path
from edge import __main__
from edge.cli import main as cli
from edge.errors import DataError

def main():
    from edge.data.damaged import without_damaged
    from edge.data.image_folder import image_folder
    try:
        without_damaged(image_folder(Path(".")))
    except DataError as error:
        sys.stderr.write(str(error))

cli.main = main
__main__.run()
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    (line,) = done.stderr.splitlines()
    assert line.startswith(".: 8 of 8 images cannot be used: ") and "huge.png: 2147483647x2147483647 pixels" in line
