"""Files named from outside are read whole, in bounds and without waiting, or refused in one line."""

import os
import socket
from pathlib import Path

import pytest

from edge.errors import DataError, FileError
from edge.files.bounded_file import (
    check_file,
    check_folder,
    exists,
    folder_entries,
    is_dir,
    is_file,
    read_bytes,
    read_text,
)

LONG = "a" * 5000


@pytest.fixture
def socket_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # the name of a socket has at most 108 bytes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s")
    return tmp_path / "s"


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"1234")
    assert read_bytes(path, most_bytes=4) == b"1234"
    with pytest.raises(DataError, match=r"f: 4 bytes; a label file has at most 3$"):
        read_bytes(path, most_bytes=3, what="label file", error=DataError)


def test_a_file_without_a_stated_size_is_bounded_too() -> None:
    """The system states 0 bytes for files of /proc."""
    assert read_bytes("/proc/self/status", most_bytes=1 << 20).startswith(b"Name:")
    with pytest.raises(FileError, match="over 10 bytes"):
        read_bytes("/proc/self/status", most_bytes=10)


@pytest.mark.parametrize("name", [LONG, "a/" * 5000, "absent", "a\0b"])
def test_names_of_nothing_are_answered_and_refused_in_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    assert not (is_file(path) or is_dir(path) or exists(path))
    for refuse in (check_file, check_folder, folder_entries):
        with pytest.raises(FileError, match="no such"):
            refuse(path)
    with pytest.raises(FileError, match="no such picture"):
        read_bytes(path, most_bytes=1, what="picture")


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, socket_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "circle").symlink_to("circle")
    for name, problem in {
        "pipe": "is a pipe, socket or device, not a file",
        "zero": "is a pipe, socket or device, not a file",
        "s": "is a pipe, socket or device, not a file",
        "circle": "cannot be read: Too many levels",
        ".": "is a folder, not a file",
    }.items():
        with pytest.raises(FileError, match=problem):
            read_bytes(tmp_path / name, most_bytes=1 << 30)
        assert not is_file(tmp_path / name)


def test_a_folder_is_listed_in_order_and_a_file_is_none(tmp_path: Path) -> None:
    for name in "ba":
        (tmp_path / name).write_text("")
    assert [path.name for path in folder_entries(tmp_path)] == ["a", "b"]
    with pytest.raises(FileError, match="a: is a file, not a folder"):
        folder_entries(tmp_path / "a")


def test_text_is_utf8_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "t"
    for data in (b"\xef\xbb\xbfsky\n", b"sky\n"):
        path.write_bytes(data)
        assert read_text(path, most_bytes=100) == "sky\n"
    path.write_bytes("sky".encode("utf-16"))
    with pytest.raises(FileError, match="is not UTF-8 text: invalid start byte at byte 0"):
        read_text(path, most_bytes=100)
