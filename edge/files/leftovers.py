"""Temporary files and folders whose makers are known to live or to be dead, so that what a killed one left is swept.

A name says that the thing is ours; a lock, held while it is written, says that its maker lives. Whoever makes the next
one in a folder removes what nobody holds. Where a file system has no locks nothing is swept. Standard library only, as
it runs on devices too.
"""

import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = ".edge-tmp-"  # rubbish as soon as nobody holds it
OLD_PREFIX = ".edge-old-"  # holds a folder that was moved out of the way, by its name; only ever put back
_SUFFIX = r"(?:\.[0-9A-Za-z]{1,16})?"
_NAME = re.compile(rf"(?:{re.escape(PREFIX)}|{re.escape(OLD_PREFIX)})[0-9a-f]{{16}}{_SUFFIX}")


def made_file(folder: Path, suffix: str = "", mode: int = 0o666) -> tuple[Path, int]:
    """Make an empty file in a folder, held by the descriptor until that is closed. Raises OSError.

    Args:
        suffix: kept where it is a plain one (`.mp4`), since some writers choose the format by it.
        mode: less the umask; the owner may always read and write.
    """
    plain = suffix if re.fullmatch(_SUFFIX, suffix) else ""
    while True:
        path = folder / f"{PREFIX}{secrets.token_hex(8)}{plain}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode | 0o600)
        if _held(path, descriptor):
            return path, descriptor


def made_folder(folder: Path, mode: int = 0o777, prefix: str = PREFIX) -> tuple[Path, int]:
    """Make an empty folder in a folder, held by the descriptor until that is closed. Raises OSError."""
    while True:
        path = folder / f"{prefix}{secrets.token_hex(8)}"
        os.mkdir(path, mode | 0o700)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # swept before it was held
            continue
        if _held(path, descriptor):
            return path, descriptor


def _held(path: Path, descriptor: int) -> bool:
    """Lock what was made; False, and the descriptor closed, where another process swept it before."""
    import fcntl  # not on every system that imports this module

    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    with suppress(OSError):
        if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
            return True
    os.close(descriptor)
    return False


def remove(path: Path) -> None:
    """Remove a file or a whole folder, or as much of it as can be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def sweep(folder: Path) -> None:
    """Remove what dead processes of this user left in a folder; a folder they had moved away is put back."""
    with suppress(OSError):
        with os.scandir(folder) as entries:
            found = [Path(entry.path) for entry in entries if _NAME.fullmatch(entry.name)]
        for path in found:
            _remove_if_dead(path)


def _remove_if_dead(path: Path) -> None:
    import fcntl

    with suppress(OSError):
        facts = os.lstat(path)
        if facts.st_uid != os.geteuid() or not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)):
            return
        access = os.O_RDWR if stat.S_ISREG(facts.st_mode) else os.O_RDONLY
        descriptor = os.open(path, access | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                return
            if path.name.startswith(OLD_PREFIX):
                put_back(path)
            else:
                remove(path)
        finally:
            os.close(descriptor)


def put_back(holder: Path) -> bool:
    """Move the folders in `holder` back beside it, where nothing has taken their place. Returns whether all are."""
    with suppress(OSError):
        for old in list(holder.iterdir()):
            if not os.path.lexists(holder.parent / old.name):
                old.rename(holder.parent / old.name)
        holder.rmdir()
        return True
    return False


@contextmanager
def temporary_folder(parent: Path | None = None) -> Iterator[Path]:
    """Give an empty folder (mode 0700) that is removed when the block ends; one of a killed process by the next call.

    Args:
        parent: where; None is the system's folder for temporary files.
    """
    place = Path(tempfile.gettempdir()) if parent is None else parent
    sweep(place)
    path, descriptor = made_folder(place, 0o700)
    try:
        yield path
    finally:
        remove(path)
        os.close(descriptor)
