"""Ctrl-C and SIGTERM: one way to end, and stretches of work that neither of them cuts.

Both raise KeyboardInterrupt once `install` was called. A signal that the process was started to ignore (nohup, a
background job) stays ignored. Outside the main thread nothing is changed: signals never arrive there.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any]
SIGNALS = (signal.SIGINT, signal.SIGTERM)
_came: list[int] = []


def install() -> None:
    """Let SIGTERM end this process as Ctrl-C does."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise)
    if hasattr(signal, "pthread_kill"):
        _wake_main_thread()


def came() -> bool:
    """Whether a signal came since `install`: what a native library made of it is then an interrupt too."""
    return bool(_came)


def ignore() -> None:
    """Take no more of them: everything is done, and only the exit code is left to hand over."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _wake_main_thread() -> None:
    """Have a signal that the system gave to another thread reach the main thread, where Python's handlers run.

    While the main thread waits without an end (for a lock, a pipe) it would not notice. A thread sleeps until a signal
    comes, and then disturbs the wait with one that nothing else uses, until its handler has run.
    """
    awake = threading.Event()
    main, (source, sink) = threading.main_thread().ident, os.pipe()

    def disturb() -> None:
        while numbers := os.read(source, 512):
            if numbers.strip(bytes([signal.SIGURG])):
                awake.clear()
                while main is not None and not awake.is_set():
                    signal.pthread_kill(main, signal.SIGURG)
                    awake.wait(0.05)

    signal.signal(signal.SIGURG, lambda number, frame: awake.set())
    os.set_blocking(sink, False)
    signal.set_wakeup_fd(sink, warn_on_full_buffer=False)
    threading.Thread(target=disturb, name="interrupts", daemon=True).start()


def _raise(number: int, frame: FrameType | None) -> None:
    _came.append(number)
    raise KeyboardInterrupt


class Ending:
    """Whether an end was asked for, in a block of `noted`."""

    def __init__(self, saying: str | Callable[[], str]) -> None:
        self.asked = False
        self._saying = saying
        self._cuts = False

    def _take(self, number: int, frame: FrameType | None) -> None:
        first = not self.asked
        self.asked = True
        if first and self._saying:
            _say(self._saying if isinstance(self._saying, str) else self._saying())
        if self._cuts:
            self._cuts = False
            raise KeyboardInterrupt

    @contextmanager
    def cutting(self) -> Iterator[None]:
        """Let a signal end this block at once: it may wait for somebody else, such as the reader of a pipe."""
        with suppress(KeyboardInterrupt):
            try:
                self._cuts = True
                yield
            finally:
                self._cuts = False


@contextmanager
def noted(saying: str | Callable[[], str] = "") -> Iterator[Ending]:
    """Note signals during the block instead of being cut by them; what asks `asked` ends in its own time.

    Args:
        saying: told on standard error when the first one comes, or what makes it then.
    """
    ending = Ending(saying)
    with _handled(ending._take):
        yield ending


@contextmanager
def uncut(saying: str = "") -> Iterator[None]:
    """Let no signal cut the block; one that came takes effect when it ends."""
    taken: list[tuple[int, FrameType | None]] = []

    def take(number: int, frame: FrameType | None) -> None:
        if not taken and saying:
            _say(saying)
        taken.append((number, frame))

    with _handled(take):
        yield
    if taken:
        before = signal.getsignal(taken[0][0])
        if callable(before):
            before(*taken[0])
        else:
            os.kill(os.getpid(), taken[0][0])


@contextmanager
def _handled(handler: Handler) -> Iterator[None]:
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                before = signal.getsignal(number)
                if before is not signal.SIG_IGN and before is not None:  # None: not set by Python
                    stack.callback(signal.signal, number, before)
                    signal.signal(number, handler)
        yield


def _say(line: str) -> None:
    """Write to standard error's descriptor: a handler may have cut a write of `sys.stderr` in half."""
    with suppress(OSError, ValueError, AttributeError):  # closed, no real file, or None
        os.write(sys.stderr.fileno(), f"{line}\n".encode(errors="backslashreplace"))
