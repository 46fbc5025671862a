"""What is written appears whole, or not at all."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera.sinks import open_file_sink, open_window
from edge.errors import DataError, FileError, UsageError

ROOT = Path(__file__).resolve().parents[3]
RED = np.full((16, 32, 3), (255, 0, 0), np.uint8)


def test_a_folder_gets_one_picture_per_frame(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with open_file_sink(target, None) as sink:
        for name in ("7", "dog.jpg", "dog.png", "street/01.png"):
            assert sink.write(RED, name)
        assert not target.exists()
    assert sorted(path.name for path in target.glob("[!.]*")) == [
        "000007.png",
        "dog.png",
        "dog.png.png",
        "street_01.png",
    ]
    assert cv2.imread(str(target / "dog.png"))[0, 0].tolist() == [0, 0, 255]


def test_frames_that_a_program_gave_one_name_or_none_are_kept_all(tmp_path: Path) -> None:
    target, names = tmp_path / "out", ["front"] * 4 + ["", "", ".", "..", "a/", "a\nb.jpg"]
    with open_file_sink(target, None) as sink:
        for name in names:
            assert sink.write(RED, name)
    assert len(list(target.glob("*.png"))) == len(names)


def test_a_folder_of_an_earlier_run_is_replaced(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with open_file_sink(tmp_path / "out", None) as sink:
            sink.write(RED, name)
    assert [path.name for path in (tmp_path / "out").glob("[!.]*")] == ["second.png"]


@pytest.mark.parametrize("frames", [1, 2, 4])
@pytest.mark.parametrize("name", ["film.mp4", "film.avi"])
def test_a_video_holds_the_frames(tmp_path: Path, name: str, frames: int) -> None:
    with open_file_sink(tmp_path / name, 12.5) as sink:
        for _ in range(frames):
            sink.write(RED, "x")
    capture = cv2.VideoCapture(str(tmp_path / name))
    assert (capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)) == (12.5, frames)
    _, image = capture.read()
    capture.release()
    assert np.abs(image.reshape(-1, 3).mean(0) - [0, 0, 255]).max() < 8


def test_an_error_leaves_the_earlier_file_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "film.avi"
    target.write_bytes(b"earlier")
    with pytest.raises(DataError, match="write frames of many sizes to a folder"), open_file_sink(target, None) as sink:
        sink.write(RED, "a")
        sink.write(RED[:8], "b")
    assert target.read_bytes() == b"earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["film.avi"]


def test_a_folder_that_holds_something_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "keep.txt").write_text("mine")
    with (
        pytest.raises(UsageError, match=r"holds 'keep\.txt', which no earlier run wrote"),
        open_file_sink(tmp_path, None),
    ):
        pass
    assert (tmp_path / "keep.txt").read_text() == "mine"


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"name a \.avi or \.mp4 file"), open_file_sink(tmp_path / "x.gif", None):
        pass


def test_without_a_target_nothing_is_kept(tmp_path: Path) -> None:
    with open_file_sink(None, None) as sink:
        assert sink.write(RED, "x")
    assert list(tmp_path.iterdir()) == []


def test_a_window_without_a_display_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(UsageError, match="no display here"), open_window():
        pass


def test_what_somebody_put_into_a_folder_of_ours_is_never_deleted(tmp_path: Path) -> None:
    """A file, a folder, and a picture that was not written here."""
    with open_file_sink(tmp_path / "out", None) as sink:
        sink.write(RED, "first")
    for name in ("notes.txt", "mine.png"):
        (tmp_path / "out" / name).write_text("mine")
        with pytest.raises(UsageError, match=f"holds '{name}'"), open_file_sink(tmp_path / "out", None):
            pass
        (tmp_path / "out" / name).unlink()
    (tmp_path / "out" / "source").mkdir()
    with pytest.raises(UsageError, match="holds 'source'"), open_file_sink(tmp_path / "out", None):
        pass


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_film_that_is_not_whole_on_the_disk_is_refused(tmp_path: Path, suffix: str) -> None:
    """In a process that may write no file as large as that: OpenCV itself says nothing."""
    code = f"""
import resource
import numpy as np
from pathlib import Path
from edge.camera.sinks import open_file_sink
resource.setrlimit(resource.RLIMIT_FSIZE, (1200000, 1200000))
noise = np.random.default_rng(0)
with open_file_sink(Path("film{suffix}"), 25.0) as sink:
    for _ in range(60):
        sink.write(noise.integers(0, 255, (240, 320, 3), dtype=np.uint8), "x")
"""
    (tmp_path / f"film{suffix}").write_bytes(b"earlier")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENCV_FFMPEG_LOGLEVEL": "-8"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert f"FileError: film{suffix}: cannot be written: of 60 frames" in done.stderr
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"earlier"]


def test_a_full_disk_ends_a_film_at_the_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    with pytest.raises(FileError, match="No space left"), open_file_sink(tmp_path / "film.mp4", None) as sink:
        sink.write(RED, "a")
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
        sink.write(RED, "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "shape"), [("x.mp4", (1, 4000, 3)), ("x.avi", (8, 70000, 3))])
def test_a_size_that_no_codec_takes_is_named(tmp_path: Path, name: str, shape: tuple[int, int, int]) -> None:
    size = rf"{shape[0]}x{shape[1]} pixels \(height x width\)"
    with pytest.raises(FileError, match=size), open_file_sink(tmp_path / name, None) as sink:
        sink.write(np.zeros(shape, np.uint8), "a")
    assert list(tmp_path.iterdir()) == []
