"""Native libraries write straight to file descriptor 2; what a person does not need is held back."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

STANDARD_ERROR = 2
NOTICE = b"INFO:"
# The descriptor is the whole process's: one block at a time, and no fork in the middle of one.
_ALONE = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_ALONE.acquire, after_in_parent=_ALONE.release, after_in_child=_ALONE.release)


@contextmanager
def quiet_native_log(*, everything: bool = False) -> Iterator[list[bytes]]:
    """Hold back lines that native code writes to standard error during the block, if they are plain notices.

    Lines that do not start with `INFO:` reach standard error when the block ends, unless `everything` is held back,
    because our own message says it better. The whole process is affected for the short time of the block; blocks of
    several threads follow one another. Without a standard error (a daemon) nothing is passed on: the descriptor may
    be a file that was opened since.

    Returns:
        A list that holds all lines once the block has ended.
    """
    lines: list[bytes] = []
    with _ALONE, ExitStack() as stack:
        _flush()
        try:
            held = stack.enter_context(tempfile.TemporaryFile())
            kept = os.dup(STANDARD_ERROR)
        except OSError:  # closed, or no place to hold anything
            yield lines
            return
        os.dup2(held.fileno(), STANDARD_ERROR)
        try:
            yield lines
        finally:
            _flush()
            os.dup2(kept, STANDARD_ERROR)
            os.close(kept)
            held.seek(0)
            lines += held.read().splitlines(keepends=True)
            with suppress(OSError):  # nobody reads it any more
                for line in () if everything or sys.__stderr__ is None else lines:
                    if not line.startswith(NOTICE):
                        os.write(STANDARD_ERROR, line)


def _flush() -> None:
    """What Python holds back of its own lines goes out first; a standard error that is closed holds nothing."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
