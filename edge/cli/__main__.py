"""The command line as a process: Ctrl-C is one line from the first moment on, and the exit code is handed over."""

import os
import signal
import sys
import warnings
from types import FrameType

INTERRUPTED = 130


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
    sys.exit(status)


def _interrupted_is_one_line() -> None:
    """Until `edge.cli.main.main` listens, Ctrl-C says one line and leaves: a native import may swallow an exception."""

    def leave(number: int, frame: FrameType | None) -> None:
        os.write(2, b"edge: interrupted\n")
        os._exit(INTERRUPTED)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a shell set it aside
        signal.signal(signal.SIGINT, leave)


if __name__ == "__main__":
    run()
