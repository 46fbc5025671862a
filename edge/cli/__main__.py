"""The command line as a process: Ctrl-C is one line from the first moment on, and the exit code is handed over."""

import os
import signal
import sys
import threading
import warnings
from contextlib import suppress
from types import FrameType

INTERRUPTED = 130
OF_A_CAMERA = ("camera ", "edge-")
"""How the threads of `edge.camera` are named."""


def run() -> None:
    """Run the command line and leave with its exit code."""
    _interrupted_is_one_line()
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # what a file lacks our own message says
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    from edge.files import interrupts  # after the handler: importing takes time, in which a person can lose patience
    from edge.files.bounded_file import MOST_PIXELS

    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))  # read when OpenCV is imported
    from edge.cli.main import main

    interrupts.install()
    status = main()
    interrupts.ignore()
    if any(thread.daemon and thread.name.startswith(OF_A_CAMERA) for thread in threading.enumerate()):
        _leave_at_once(status)
    sys.exit(status)


def _leave_at_once(status: int) -> None:
    """Exit where a read of a device, or a model, still holds a thread of a camera's.

    The interpreter's own end would unwind it out of C++ when it comes back, and the process would abort (SIGABRT).
    """
    with suppress(OSError, ValueError):  # nobody reads any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _interrupted_is_one_line() -> None:
    """Until `edge.cli.main.main` listens, Ctrl-C says one line and leaves: a native import may swallow an exception."""

    def leave(number: int, frame: FrameType | None) -> None:
        os.write(2, b"edge: interrupted\n")
        os._exit(INTERRUPTED)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a shell set it aside
        signal.signal(signal.SIGINT, leave)


if __name__ == "__main__":
    run()
