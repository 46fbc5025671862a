"""Files and folders are written whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.atomic import check_writable, replacing, replacing_folder, write_bytes
from edge.errors import FileError

ROOT = Path(__file__).resolve().parents[2]


def test_a_written_file_holds_the_bytes_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    """One file, its content, no temporary name."""
    write_bytes(tmp_path / "a.bin", b"new")
    assert (tmp_path / "a.bin").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_a_failure_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    """The old content stays and the half-written one is gone."""
    (tmp_path / "a.bin").write_bytes(b"old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"ha")
        raise RuntimeError
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(FileError, match="cannot be written"):
        write_bytes(tmp_path / "no" / "a.bin", b"")


@pytest.mark.parametrize(
    ("path", "problem"),
    [("no/a.bin", "No such file"), ("/sys/a.bin", "denied"), ("/dev/null", "not a file"), (".", "folder")],
)
def test_what_could_not_be_written_later_is_refused_now(tmp_path: Path, path: str, problem: str) -> None:
    """A missing and a read-only folder (nobody may make files in /sys), a device, a folder."""
    with pytest.raises(FileError, match=problem):
        check_writable(tmp_path / path)
    check_writable(tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_refused_now(tmp_path: Path) -> None:
    """In a process that may write no file of the room that is tried for."""
    code = "import resource; from edge.atomic import ROOM_BYTES, check_writable\n"
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM_BYTES - 1, ROOM_BYTES - 1)); check_writable('a.bin')"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert "FileError: a.bin: cannot be written: " in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    """Nothing of the old folder stays."""
    (tmp_path / "art").mkdir()
    (tmp_path / "art" / "old").write_text("old")
    with replacing_folder(tmp_path / "art") as temporary:
        (temporary / "new").write_text("new")
    assert [path.name for path in (tmp_path / "art").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["art"]


def test_a_failure_keeps_the_old_folder(tmp_path: Path) -> None:
    """The old folder stands as it was."""
    (tmp_path / "art").mkdir()
    (tmp_path / "art" / "old").write_text("old")
    with pytest.raises(RuntimeError), replacing_folder(tmp_path / "art") as temporary:
        (temporary / "new").write_text("new")
        raise RuntimeError
    assert [path.name for path in (tmp_path / "art").iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["art"]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    """And it is left alone."""
    (tmp_path / "art").write_text("mine")
    with pytest.raises(FileError, match="is a file"), replacing_folder(tmp_path / "art"):
        pass
    assert (tmp_path / "art").read_text() == "mine"
