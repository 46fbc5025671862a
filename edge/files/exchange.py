"""Two system calls that Python does not have: exchanging two paths in one step, and syncing one file system."""

import ctypes
import errno
import os
from contextlib import suppress
from pathlib import Path

from edge.files.leftovers import OLD_PREFIX, PREFIX, made_folder, put_back, remove

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_UNKNOWN = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


def exchange_paths(one: Path, other: Path) -> bool:
    """Let two paths change places in one step (renameat2). False where system or file system cannot. Raises OSError."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNKNOWN:
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))


def stand_in(new: Path, target: Path) -> None:
    """Put the folder `new` at `target`, whose old content goes only when the new one stands. Raises OSError.

    Where the two cannot be exchanged in one step, the old one is moved away first. It comes back if the new one cannot
    take its place, now or with the next sweep; where both fail its place is named.
    """
    if not os.path.lexists(target):
        new.rename(target)
    elif exchange_paths(new, target):
        remove(new)  # the old one, by now
    else:
        _moved_away(new, target)


def _moved_away(new: Path, target: Path) -> None:
    holder, descriptor = made_folder(target.parent, 0o700, OLD_PREFIX)
    old = holder / target.name
    try:
        target.rename(old)
        try:
            new.rename(target)
        except OSError as error:
            if not put_back(holder):
                told = f"{error.strerror}; the old folder is kept as {old}"
                raise OSError(error.errno, told, str(new)) from error
            raise
        rubbish = holder.with_name(holder.name.replace(OLD_PREFIX, PREFIX))
        holder.rename(rubbish)
        remove(rubbish)
    finally:
        with suppress(OSError):
            holder.rmdir()  # empty: the old one was never moved, or came back
        os.close(descriptor)


def sync_file_system(folder: Path) -> None:
    """Bring everything written to a folder's file system to the disk; one call for any number of files."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is None:
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if call(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(descriptor)
