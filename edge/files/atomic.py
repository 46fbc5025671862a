"""Writing files and folders whole: the old one stands until the new one does, whatever ends the process.

A temporary one is made beside the target (`edge.files.leftovers`: one of a killed process is swept by the next write),
synced and put in the target's place in one step. Symbolic links are followed and stay; permissions are those of what is
replaced, or what the umask leaves. No signal cuts the last step (`edge.files.interrupts`).
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from edge.errors import FileError
from edge.files.bounded_file import exists
from edge.files.exchange import stand_in, sync_file_system
from edge.files.folder_lock import held
from edge.files.interrupts import uncut
from edge.files.leftovers import made_file, made_folder, remove, sweep

ROOM_BYTES = 1 << 20
MOST_SINGLE_SYNCS = 16


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well it replaces `path`, otherwise it is removed.

    Raises:
        FileError: the folder is missing, not writable, or the disk is full; a folder or device is there. What else goes
            wrong in the block comes through as it is.
    """
    target, old = _file_place(path)
    with _refused(path):
        sweep(target.parent)
        temporary, descriptor = made_file(target.parent, target.suffix, 0o666 if old is None else old.st_mode & 0o777)
    try:
        with _refused(path, temporary):
            yield temporary
        with uncut(f"finishing {path}"), _refused(path):
            _keep_rights(temporary, old)
            _sync(temporary)
            temporary.replace(target)
            _sync(target.parent)
    finally:
        with uncut():
            remove(temporary)
            os.close(descriptor)


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Give an empty temporary folder beside `path`; when the block ends well it takes the place of `path`.

    Files in it are written by `put`. Two processes that replace one folder take turns at the last step.

    Raises:
        FileError: as `check_folder_writable`, or the file system refuses. What else goes wrong in the block comes
            through as it is.
    """
    target, old = _folder_place(path)
    with _refused(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent)
        temporary, descriptor = made_folder(target.parent, 0o777 if old is None else old.st_mode & 0o777)
    try:
        with _refused(path, temporary):
            yield temporary
        with nullcontext() if old is None else held(target), uncut(f"finishing {path}"), _refused(path):
            _keep_rights(temporary, old)
            _sync_tree(temporary, target)
            stand_in(temporary, target)
            _sync(target.parent)
    finally:
        with uncut():
            remove(temporary)
            os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make the folder of results, if it is not there. Refuses (FileError) a place where none can be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(folder, f"cannot be made: {error.strerror}") from error


@contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """Make a folder of results; where the block fails before anything stands in it, what was made is removed.

    Refuses (FileError) a place where none can be.
    """
    missing = [place for place in (folder, *folder.parents) if not exists(place)]
    make_folder(folder)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # something stands in it, of this block or of somebody else
            for place in missing:
                place.rmdir()
        raise


def put(path: Path, data: bytes) -> None:
    """Write one file into the folder of `replacing_folder`, which names its target if that cannot be done."""
    try:
        path.write_bytes(data)
    except OSError as error:  # the one of a write does not say which file
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a whole file atomically. Refuses (FileError) what the file system refuses."""
    with replacing(path) as temporary:
        put(temporary, data)


def write_text(path: str | Path, text: str) -> None:
    """Write a whole UTF-8 text file atomically. Refuses (FileError) what the file system refuses."""
    write_bytes(path, text.encode("utf-8"))


def check_writable(path: str | Path) -> None:
    """Refuse (FileError) now what `replacing` would refuse later: before long work whose result goes to `path`.

    A missing or read-only folder, a full disk (less than ROOM_BYTES), and what is there and no file.
    """
    target, _ = _file_place(path)
    _check_room(path, target.parent)


def check_folder_writable(path: str | Path) -> None:
    """Refuse (FileError) now what `replacing_folder` would refuse later, before long work.

    A file, the current folder or one above it, a mount point, a read-only folder, a full disk.
    """
    target, _ = _folder_place(path)
    parent = next(folder for folder in target.parents if folder.exists())
    _check_room(path, parent)


def _place(path: str | Path) -> tuple[Path, os.stat_result | None]:
    """The path with its links followed, and what is there."""
    try:
        target = Path(os.path.realpath(path))
        with suppress(FileNotFoundError):
            return target, os.lstat(target)
        return target, None
    except (OSError, ValueError) as error:  # a name too long, or with a zero byte
        raise FileError(path, f"cannot be written: {getattr(error, 'strerror', None) or error}") from error


def _file_place(path: str | Path) -> tuple[Path, os.stat_result | None]:
    target, old = _place(path)
    if old is None:
        return target, None
    if not stat.S_ISREG(old.st_mode):
        raise FileError(path, "cannot be written: a folder, link or device is there, not a file")
    if not os.access(target, os.W_OK):
        raise FileError(path, "cannot be written: it is read-only")
    return target, old


def _folder_place(path: str | Path) -> tuple[Path, os.stat_result | None]:
    target, old = _place(path)
    if old is None:
        return target, None
    if not stat.S_ISDIR(old.st_mode):
        raise FileError(path, "is a file where a folder is to be written")
    if Path(os.path.realpath(os.curdir)).is_relative_to(target):
        raise FileError(path, "cannot be replaced: it is the current folder or holds it; name a new folder in it")
    if _is_mount_point(target):
        raise FileError(path, "cannot be replaced: something is mounted there; name a new folder in it")
    if not os.access(target, os.W_OK):
        raise FileError(path, "cannot be written: it is read-only")
    return target, old


def _is_mount_point(folder: Path) -> bool:
    if os.path.ismount(folder):
        return True
    with suppress(OSError):  # a folder of the same disk, mounted once more
        escaped = str(folder).replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011").replace("\n", "\\012")
        mounted = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        return any(line.split(" ", 5)[4] == escaped for line in mounted.splitlines())
    return False


@contextmanager
def _refused(path: str | Path, place: Path | None = None) -> Iterator[None]:
    """Say of `path` that it cannot be written: at an OSError about `place` or what lies in it; None: at any."""
    try:
        yield
    except OSError as error:
        if place is not None and not Path(os.fsdecode(error.filename or "")).is_relative_to(place):
            raise
        raise FileError(path, f"cannot be written: {error.strerror}") from error


def _check_room(path: str | Path, folder: Path) -> None:
    with _refused(path):
        sweep(folder)
        tried, descriptor = made_file(folder)
        try:
            put(tried, bytes(ROOM_BYTES))
            _sync(tried)
        finally:
            remove(tried)
            os.close(descriptor)


def _keep_rights(temporary: Path, old: os.stat_result | None) -> None:
    """Give what is written the owner and permissions of what it replaces; the owner where that is allowed."""
    if old is None:
        return
    now = temporary.stat()
    if (now.st_uid, now.st_gid) != (old.st_uid, old.st_gid):
        with suppress(PermissionError):
            os.chown(temporary, old.st_uid, old.st_gid)
    temporary.chmod(stat.S_IMODE(old.st_mode))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(descriptor)


def _sync_tree(folder: Path, target: Path) -> None:
    """Bring a folder's files to the disk, each with the permissions of the one whose place it takes."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        with suppress(FileNotFoundError, NotADirectoryError):
            _keep_rights(path, (target / path.relative_to(folder)).stat())
    if len(files) > MOST_SINGLE_SYNCS:
        sync_file_system(folder)
        return
    for path in files:
        _sync(path)
