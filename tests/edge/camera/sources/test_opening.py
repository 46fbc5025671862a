"""What a `--source` may be, and the one line that refuses the rest."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera.sources.opening import open_source
from edge.camera.sources.video4linux import DEVICES
from edge.errors import DataError, UsageError


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, name in enumerate(("b.png", "a.png")):
        cv2.imwrite(str(folder / name), np.full((6, 8, 3), (0, 0, 100 * index), np.uint8))
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (32, 16))
    for level in (0, 100, 200):
        writer.write(np.full((16, 32, 3), level, np.uint8))
    writer.release()
    return path


def test_a_folder_gives_its_pictures_by_name(pictures: Path) -> None:
    source = open_source(str(pictures))
    frames = list(source.frames())
    assert source.pictures and source.frames_per_second is None
    assert [frame.name for frame in frames] == ["a.png", "b.png"]
    assert (frames[0].image[0, 0].tolist(), frames[0].format) == ([100, 0, 0], "rgb")


def test_one_picture_is_a_source(pictures: Path) -> None:
    assert [frame.name for frame in open_source(str(pictures / "b.png")).frames()] == ["b.png"]


def test_a_video_gives_its_frames_and_its_rate(film: Path) -> None:
    source = open_source(str(film))
    assert (source.pictures, source.frames_per_second) == (False, 10.0)
    frames = list(source.frames())
    source.close()
    assert [frame.name for frame in frames] == ["0", "1", "2"]
    assert frames[0].format == "bgr"
    assert [round(float(frame.image.mean()), -1) for frame in frames] == [0, 100, 200]


def test_every_kind_of_split_is_a_source() -> None:
    assert next(open_source("recipe:mobilenet_v2_generated:val").frames()).image.shape == (96, 96, 3)
    pinned = Path(__file__).parents[4] / "calibration_data" / "classify.split.json"
    assert next(open_source(str(pinned)).frames()).image.shape == (96, 96, 3)
    with pytest.raises(UsageError, match="cityscapes:"):
        open_source("cityscapes:")


def test_a_split_is_a_source() -> None:
    frames = list(open_source("generated:segment:val:2").frames())
    assert len(frames) == 2 and frames[0].image.dtype == np.uint8


def test_a_source_can_be_named_by_a_file(pictures: Path, tmp_path: Path) -> None:
    """So that a URL with a password stands in no list of processes."""
    (tmp_path / "source").write_text(f"{pictures}\nanother line\n")
    assert open_source(f"@{tmp_path / 'source'}").name == str(pictures)
    (tmp_path / "source").write_text("rtsp://user:secret@host/a\n")
    assert open_source(f"@{tmp_path / 'source'}").name == "rtsp://***@host/a"
    with pytest.raises(DataError, match="absent: no such file"):
        open_source(f"@{tmp_path / 'absent'}")
    (tmp_path / "source").write_text("\n")
    for empty in ("", f"@{tmp_path / 'source'}"):
        with pytest.raises(UsageError, match="names nothing"):
            open_source(empty)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no picture"):
        open_source(str(tmp_path))


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file, folder or camera"):
        open_source(str(tmp_path / "absent.mp4"))
    for name in ("987", "/dev/video987"):  # a usage error, by number and by path alike
        with pytest.raises(UsageError, match=r"/dev/video987: no such camera; cameras here: "):
            open_source(name)


def test_a_file_of_another_kind_is_refused(pictures: Path) -> None:
    with pytest.raises(UsageError, match=r"'\.txt' is neither a picture nor a video"):
        open_source(str(pictures / "notes.txt"))


def test_a_damaged_video_is_refused_without_chatter(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "damaged.mp4"
    path.write_bytes(b"\0\0\0\x20ftypisom" + bytes(200))
    with pytest.raises(DataError, match=r"damaged\.mp4"):
        list(open_source(str(path)).frames())
    assert capfd.readouterr().err == ""


def test_a_damaged_picture_is_refused_when_its_turn_comes(pictures: Path) -> None:
    (pictures / "c.png").write_bytes((pictures / "a.png").read_bytes()[:30])
    frames = open_source(str(pictures)).frames()
    assert [next(frames).name, next(frames).name] == ["a.png", "b.png"]
    with pytest.raises(DataError, match=r"c\.png"):
        next(frames)


def test_cameras_are_looked_for_where_linux_has_them() -> None:
    assert Path("/dev") == DEVICES
