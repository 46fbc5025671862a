"""Writing files and folders whole: a temporary name beside the target, fsync, rename."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge.errors import FileError

ROOM_BYTES = 1 << 20


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well it replaces `path`, otherwise it is removed.

    Raises:
        FileError: the folder is missing, not writable, or the disk is full.
    """
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=target.suffix, dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise FileError(target, f"cannot be written: {error.strerror}") from error
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise FileError(target, f"cannot be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: str | Path) -> None:
    """Refuse (FileError) now what `replacing` would refuse later: before long work whose result goes to `path`.

    A missing or read-only folder, a full disk (less than ROOM_BYTES), and what is there and no file.
    """
    target = Path(path)
    if target.exists() and not target.is_file():
        raise FileError(target, "cannot be written: a folder or device is there, not a file")
    try:
        with tempfile.NamedTemporaryFile(prefix=f".{target.name}.", dir=target.parent) as tried:
            tried.write(bytes(ROOM_BYTES))
            tried.flush()
            os.fsync(tried.fileno())
    except OSError as error:
        raise FileError(target, f"cannot be written: {error.strerror}") from error


@contextmanager
def held_folder(path: str | Path) -> Iterator[None]:
    """Hold the folder of `path` against every other process that asks for the same, for reading and replacing a file.

    Where the file system knows no locks nothing is held. Refuses (FileError) a folder that cannot be opened.
    """
    import fcntl  # not on every system that imports this module

    try:
        descriptor = os.open(Path(path).parent, os.O_RDONLY)
    except OSError as error:
        raise FileError(path, f"cannot be written: {error.strerror}") from error
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a whole file atomically. Refuses (FileError) what the file system refuses."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write a whole UTF-8 text file atomically. Refuses (FileError) what the file system refuses."""
    write_bytes(path, text.encode("utf-8"))


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Give an empty temporary folder beside `path`; when the block ends well it takes the place of `path`.

    An existing folder at `path` is kept until the new one is complete and comes back if the exchange fails.

    Raises:
        FileError: `path` is a file, or the file system refuses.
    """
    target = Path(path)
    if target.exists() and not target.is_dir():
        raise FileError(target, "is a file where a folder is to be written")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise FileError(target, f"cannot be written: {error.strerror}") from error
    try:
        yield temporary
        temporary.chmod(0o755)
        for written in temporary.rglob("*"):
            if written.is_file():
                with written.open("rb") as handle:
                    os.fsync(handle.fileno())
        _exchange(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise FileError(target, f"cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _exchange(new: Path, target: Path) -> None:
    """Put `new` in the place of `target`, whose old content is removed only after the new one stands there."""
    if not target.exists():
        new.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    target.rename(old / target.name)
    try:
        new.rename(target)
    except OSError:
        (old / target.name).rename(target)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
