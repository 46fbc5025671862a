"""What cannot be used is all named at once, or omitted by name and counted."""

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.data.damaged import damaged, without_damaged
from edge.data.image_folder import image_folder
from edge.data.mask_folder import mask_folder
from edge.data.splits import Split
from edge.errors import DataError

PIXELS = np.random.default_rng(5).integers(0, 256, size=(32, 40, 3), dtype=np.uint8)


def folder_of(folder: Path, count: int = 4) -> Split:
    for index in range(count):
        place = folder / "xy"[index % 2] / f"{index:02}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(cv2.imencode(".jpg", PIXELS)[1].tobytes())
    return image_folder(folder)


def spoil(folder: Path) -> None:
    (folder / "x/00.jpg").write_bytes(b"")
    (folder / "y/01.jpg").write_text("<html>404 Not Found</html>")


def test_a_good_split_comes_back_as_it_is(tmp_path: Path) -> None:
    split = folder_of(tmp_path)
    assert without_damaged(split) is split
    assert without_damaged(split, skip=True).skipped_damaged == 0


def test_what_is_noted_of_a_split_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "z").mkdir()
    without_damaged(folder_of(tmp_path))
    assert capsys.readouterr().err == f"{tmp_path}: without an image, and no class: z\n"


def test_all_are_named_at_once_with_the_cure(tmp_path: Path) -> None:
    split = folder_of(tmp_path)
    (tmp_path / "x/00.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"x/00\.jpg: the file is empty; --skip-damaged .* omits what is damaged$"):
        without_damaged(split)
    spoil(tmp_path)
    problem = r": 2 of 4 images cannot be used: .*x/00\.jpg: the file is empty; .*y/01\.jpg: not an image, or .*--skip"
    with pytest.raises(DataError, match=problem):
        without_damaged(split)


def test_of_many_the_first_are_named_and_the_others_counted(tmp_path: Path) -> None:
    split = folder_of(tmp_path, 16)
    for sample in split.samples[1:]:
        sample.where.write_bytes(b"x")
    with pytest.raises(DataError, match=r"15 of 16 images cannot be used: .*; and 5 more") as raised:
        without_damaged(split)
    assert str(raised.value).count("not an image") == 10


def test_what_is_left_out_is_named_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split = folder_of(tmp_path)
    spoil(tmp_path)
    usable = without_damaged(split, skip=True)
    assert [sample.name for sample in usable.samples] == ["x/02.jpg", "y/03.jpg"]
    assert (usable.skipped_damaged, usable.subset([0]).skipped_damaged) == (2, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert "2 of 4 images are omitted: " in line and "00.jpg" in line and "01.jpg" in line


def test_nothing_that_can_be_used_is_refused(tmp_path: Path) -> None:
    split = folder_of(tmp_path, 2)
    spoil(tmp_path)
    with pytest.raises(DataError, match="none of 2 images can be used: "):
        without_damaged(split, skip=True)


@pytest.mark.parametrize("progressive", [0, 1])
def test_a_jpeg_cut_in_its_last_scan_or_spoilt_in_its_middle_is_found_among_good_ones(
    tmp_path: Path, progressive: int
) -> None:
    split = folder_of(tmp_path)
    pixels = np.random.default_rng(6).integers(0, 256, size=(160, 160, 3), dtype=np.uint8)
    data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1].tobytes()
    cut = data[: (data.rindex(b"\xff\xda") + len(data)) // 2].rstrip(b"\xff") + b"\xff\xd9"
    split.samples[2].where.write_bytes(cut)
    (problem,) = damaged(split).values()
    assert str(problem).startswith(str(split.samples[2].where)) and "JPEG" in str(problem)


def test_images_with_masks_are_looked_at_though_their_corners_be_grey(tmp_path: Path) -> None:
    """A grey corner is where a cut JPEG is looked for: that must not wait for whoever looks at all images."""
    for name, pixels in (("images/a.jpg", np.full((32, 40, 3), 128, np.uint8)), ("masks/a.png", PIXELS[:, :, 0] % 2)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(cv2.imencode(Path(name).suffix, pixels)[1].tobytes())
    split = mask_folder(tmp_path / "images", tmp_path / "masks")
    looking = threading.Thread(target=damaged, args=(split,), daemon=True)
    looking.start()
    looking.join(timeout=60)
    assert not looking.is_alive()


def test_photographs_that_are_not_read_are_named_with_the_cure(tmp_path: Path) -> None:
    folder_of(tmp_path)
    heic = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00"
    (tmp_path / "x/phone.HEIC").write_bytes(heic)
    (tmp_path / "x/renamed.jpg").write_bytes(heic)
    (tmp_path / "y/camera.NEF").write_bytes(b"II*\x00")
    told = [str(problem) for problem in damaged(image_folder(tmp_path)).values()]
    assert ["a HEIC photograph" in line for line in told] == [True, True, False]
    assert all("save it as JPEG" in line for line in told) and "a raw file" in told[2]
