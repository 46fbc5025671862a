"""Holding a folder against other processes, so that what is read in it and written back is one step for them."""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from edge.errors import FileError

WAIT_S = 1.0
LOOK_S = 0.05


@contextmanager
def held(folder: str | Path) -> Iterator[None]:
    """Hold a folder against every other process that asks for the same; the one that stands at the path now.

    After WAIT_S a line on standard error says that it waits. Where the file system has no locks nothing is held.
    Refuses (FileError) a folder that cannot be opened.
    """
    import fcntl  # not on every system that imports this module

    while True:
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise FileError(folder, f"cannot be held: {error.strerror}") from error
        try:
            with suppress(OSError):
                if not _locked_soon(descriptor):
                    from edge.terminal import tell  # rich, where nobody may ever wait

                    tell(f"waiting for {folder}, held by another process")
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not _is(descriptor, folder):  # replaced while this one waited
                continue
            yield
            return
        finally:
            os.close(descriptor)


def held_folder(path: str | Path) -> AbstractContextManager[None]:
    """Hold the folder of the file `path`, for reading and replacing it."""
    return held(Path(os.path.realpath(path)).parent)


def _locked_soon(descriptor: int) -> bool:
    import fcntl

    end = time.monotonic() + WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(LOOK_S)
        else:
            return True


def _is(descriptor: int, path: str | Path) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    return False
