"""Files and folders are written whole or not at all."""

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import edge.files.exchange
from edge.errors import FileError
from edge.files.atomic import (
    check_folder_writable,
    check_writable,
    put,
    replacing,
    replacing_folder,
    write_bytes,
    write_text,
)
from edge.files.exchange import stand_in
from edge.files.folder_lock import held

ROOT = Path(__file__).resolve().parents[3]


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
    code = "import resource; from edge.files.atomic import ROOM_BYTES, check_writable\n"
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


def test_another_error_in_the_block_keeps_its_own_words(tmp_path: Path) -> None:
    """An input that is missing, a pipe that is closed: neither says that the target cannot be written."""
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a"):
        (tmp_path / "input").read_bytes()
    with pytest.raises(BrokenPipeError), replacing_folder(tmp_path / "b"):
        raise BrokenPipeError(32, "Broken pipe")
    with pytest.raises(FileError, match=r"c: cannot be written: Is a dir"), replacing_folder(tmp_path / "c") as folder:
        put(folder, b"")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("umask", "modes"), [(0o077, (0o600, 0o700)), (0o022, (0o644, 0o755))])
def test_new_ones_follow_the_umask_and_old_ones_keep_their_rights(
    tmp_path: Path, umask: int, modes: tuple[int, int]
) -> None:
    """A file and a folder, with the files in it."""
    before = os.umask(umask)
    try:
        for _ in range(2):
            write_bytes(tmp_path / "new", b"")
            with replacing_folder(tmp_path / "folder") as folder:
                put(folder / "new", b"")
        made = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "folder", "folder/new")]
        assert made == [*modes, modes[0]]
        (tmp_path / "new").chmod(0o640)
        (tmp_path / "folder").chmod(0o2750)
        (tmp_path / "folder" / "new").chmod(0o600)
        write_bytes(tmp_path / "new", b"")
        with replacing_folder(tmp_path / "folder") as folder:
            put(folder / "new", b"")
        made = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "folder", "folder/new")]
        assert made == [0o640, 0o2750, 0o600]
    finally:
        os.umask(before)


def test_links_stay_and_their_targets_are_replaced(tmp_path: Path) -> None:
    """A file, a folder, and a link to a file that is not there yet."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("old")
    (tmp_path / "there" / "folder").mkdir()
    for name in ("file", "folder", "absent"):
        (tmp_path / name).symlink_to(f"there/{name}")
    write_text(tmp_path / "file", "new")
    write_text(tmp_path / "absent", "new")
    with replacing_folder(tmp_path / "folder") as folder:
        put(folder / "x", b"new")
    assert all((tmp_path / name).is_symlink() for name in ("file", "folder", "absent"))
    assert [(tmp_path / "there" / name).read_text() for name in ("file", "absent", "folder/x")] == ["new"] * 3


def test_a_circle_of_links_and_a_name_too_long_are_refused_at_once(tmp_path: Path) -> None:
    """Before the block runs."""
    (tmp_path / "a").symlink_to("a")
    for name in ("a", "n" * 300, "x\0y"):
        with pytest.raises(FileError, match="cannot be written"), replacing(tmp_path / name):
            raise AssertionError
        with pytest.raises(FileError), replacing_folder(tmp_path / name):
            raise AssertionError


def test_the_current_folder_and_a_mount_point_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They cannot be exchanged; nothing in them changes."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    for path in (".", "..", tmp_path / "a"):
        with pytest.raises(FileError, match="the current folder"):
            check_folder_writable(path)
    with pytest.raises(FileError, match="mounted"):
        check_folder_writable("/proc")


def test_without_exchange_the_old_folder_is_never_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes back; where its name is taken at the very moment, the message says where it is."""
    monkeypatch.setattr(edge.files.exchange, "exchange_paths", lambda one, other: False)
    for name in ("new", "target"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("")
    stand_in(tmp_path / "new", tmp_path / "target")
    assert [path.name for path in tmp_path.rglob("*")] == ["target", "new"]
    with pytest.raises(OSError, match="No such file"):
        stand_in(tmp_path / "missing", tmp_path / "target")
    assert [path.name for path in tmp_path.rglob("*")] == ["target", "new"]

    def taken(path: Path, target: Path) -> Path:
        os.rename(path, target)  # noqa: PTH104 (Path.rename is this function)
        if path.name == "target":
            (path / "somebody").mkdir(parents=True)
        return target

    monkeypatch.setattr(Path, "rename", taken)
    (tmp_path / "newer").mkdir()
    with pytest.raises(OSError, match=r"the old folder is kept as .*/\.edge-old-\w+/target"):
        stand_in(tmp_path / "newer", tmp_path / "target")
    assert [path.name for path in tmp_path.glob(".edge-old-*/target/*")] == ["new"]


@pytest.mark.unhurried
def test_a_reader_always_finds_a_folder_while_two_write_it(tmp_path: Path) -> None:
    """Two writers, 40 exchanges each; the folder's one file can be opened at every look but in a removed folder."""
    target, missing = tmp_path / "art", []

    def write() -> None:
        for _ in range(40):
            with replacing_folder(target) as folder:
                put(folder / "x", b"whole")

    with replacing_folder(target) as folder:
        put(folder / "x", b"whole")
    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        if not target.is_dir():
            missing.append(1)
    for writer in writers:
        writer.join()
    assert not missing
    assert [path.name for path in tmp_path.iterdir()] == ["art"]


def test_waiting_for_a_held_folder_is_said(tmp_path: Path) -> None:
    """After a second, by another process, on standard error."""
    code = "from edge.files.folder_lock import held\nwith held('.'):\n print('held')"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with held(tmp_path):
        waiting = subprocess.Popen(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, stdout=-1, stderr=-1, text=True
        )
        assert waiting.stderr is not None
        assert waiting.stderr.readline() == "waiting for ., held by another process\n"
    out, err = waiting.communicate(timeout=60)
    assert (out, err) == ("held\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_signal_cuts_the_last_step(tmp_path: Path, number: int) -> None:
    """Signals that come while the finished file is synced and put in its place end the process afterwards."""
    code = f"""
import os, signal
from edge.files import interrupts
from edge.files.atomic import replacing
interrupts.install()
fsync = os.fsync
def slow(descriptor):
    for _ in range(3):
        os.kill(os.getpid(), {int(number)})
    fsync(descriptor)
os.fsync = slow
try:
    with replacing("a") as path:
        path.write_text("new")
except KeyboardInterrupt:
    print("interrupted")
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("interrupted\n", "finishing a\n")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["new"]
