"""Files and folders that were named from outside: asked about and read in one way, which neither raises nor blocks.

A name may be too long, hold a zero byte or lead in a circle; what it names may be missing, a folder, a pipe that never
ends, a device, or larger than memory. The questions answer such names with no; the readers refuse them in one line.
"""

import errno
import os
import stat
from pathlib import Path

from edge.errors import FileError

Name = str | Path
KIND_NAMES = {stat.S_IFREG: "a file", stat.S_IFDIR: "a folder"}
OTHER_KIND = "a pipe, socket or device"
MOST_PIXELS = 1 << 28  # of an image: 0.8 GB decoded
_BLOCK_BYTES = 1 << 20
_MISSING = (errno.ENOENT, errno.ENOTDIR)


def is_file(path: Name) -> bool:
    """Whether a regular file is there and may be looked at."""
    return _mode(path) == stat.S_IFREG


def is_dir(path: Name) -> bool:
    """Whether a folder is there and may be looked at."""
    return _mode(path) == stat.S_IFDIR


def exists(path: Name) -> bool:
    """Whether anything is there and may be looked at."""
    return _mode(path) is not None


def check_file(path: Name, *, what: str = "file", error: type[FileError] = FileError) -> os.stat_result:
    """Refuse (`error`) what is no regular file, before a native library opens it.

    Args:
        what: the noun of the message: `no such WHAT`.
    """
    return _checked(path, stat.S_IFREG, what, error)


def check_folder(path: Name, *, what: str = "folder", error: type[FileError] = FileError) -> os.stat_result:
    """Refuse (`error`) what is no folder."""
    return _checked(path, stat.S_IFDIR, what, error)


def folder_entries(folder: Name, *, error: type[FileError] = FileError) -> list[Path]:
    """What lies in a folder, sorted. Refuses (`error`) what is no folder, and one that may not be read."""
    check_folder(folder, error=error)
    try:
        return sorted(Path(folder).iterdir())
    except OSError as problem:
        raise error(folder, f"cannot be read: {problem.strerror}") from None


def read_bytes(path: Name, *, most_bytes: int, what: str = "file", error: type[FileError] = FileError) -> bytes:
    """The whole content of a regular file.

    Args:
        most_bytes: a larger file is refused, and one that grows beyond it while it is read.
        what: the noun of the messages: `no such WHAT`, `a WHAT has at most N bytes`.
        error: the class that refuses.
    """
    check_file(path, what=what, error=error)
    try:
        # Without blocking: what was a file a moment ago may be a pipe now.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with open(descriptor, "rb") as handle:
            status = os.fstat(descriptor)
            if stat.S_IFMT(status.st_mode) != stat.S_IFREG:
                raise error(path, f"is {OTHER_KIND}, not a file")
            if status.st_size > most_bytes:
                raise error(path, f"{status.st_size} bytes; a {what} has at most {most_bytes}")
            data = handle.read(status.st_size)
            while more := handle.read(_BLOCK_BYTES):  # it grew, or is one whose size the system does not tell
                data += more
                if len(data) > most_bytes:
                    raise error(path, f"over {most_bytes} bytes; a {what} has at most that")
            return data
    except OSError as problem:
        raise error(path, f"cannot be read: {problem.strerror}") from None


def read_text(path: Name, *, most_bytes: int, what: str = "file", error: type[FileError] = FileError) -> str:
    """The text of a UTF-8 file, with or without a byte order mark; refused as by `read_bytes`, and what is no UTF-8."""
    return decoded(read_bytes(path, most_bytes=most_bytes, what=what, error=error), path, error)


def decoded(data: bytes, path: Name, error: type[FileError] = FileError) -> str:
    """UTF-8 text, a byte order mark omitted. Refuses (`error`) other bytes; `path` is for the message alone."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise error(path, f"is not UTF-8 text: {problem.reason} at byte {problem.start}") from None


def _mode(path: Name) -> int | None:
    try:
        return stat.S_IFMT(os.stat(path).st_mode)
    except (OSError, ValueError):
        return None


def _checked(path: Name, wanted: int, what: str, error: type[FileError]) -> os.stat_result:
    try:
        status = os.stat(path)
    except ValueError:
        raise error(path, f"no such {what}: a name holds no zero byte") from None
    except OSError as problem:
        if problem.errno in _MISSING:
            raise error(path, f"no such {what}") from None
        if problem.errno == errno.ENAMETOOLONG:
            raise error(path, f"no such {what}: the name is too long") from None
        raise error(path, f"cannot be read: {problem.strerror}") from None
    kind = stat.S_IFMT(status.st_mode)
    if kind != wanted:
        raise error(path, f"is {KIND_NAMES.get(kind, OTHER_KIND)}, not {KIND_NAMES[wanted]}")
    return status
