"""Files and folders are written whole or not at all."""

from pathlib import Path

import pytest

from edge.atomic import replacing, replacing_folder, write_bytes
from edge.errors import FileError


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
