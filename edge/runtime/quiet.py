"""Native libraries write straight to file descriptor 2; what a person does not need is held back."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

STANDARD_ERROR = 2
NOTICE = b"INFO:"


@contextmanager
def quiet_native_log(*, everything: bool = False) -> Iterator[None]:
    """Hold back lines that native code writes to standard error during the block, if they are plain notices.

    Lines that do not start with `INFO:` reach standard error when the block ends, unless `everything` is held back,
    because our own message says it better. The whole process is affected for the short time of the block.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(STANDARD_ERROR)
    except OSError:  # a daemon may have no standard error
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), STANDARD_ERROR)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, STANDARD_ERROR)
            os.close(kept)
            held.seek(0)
            for line in held.read().splitlines(keepends=True):
                if not everything and not line.startswith(NOTICE):
                    os.write(STANDARD_ERROR, line)
