"""What a person sees of a training run: a bar per epoch and a line per epoch, on standard error.

Where standard error is no terminal, a long epoch says how far it is every QUIET_S seconds.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn

from edge import terminal
from edge.training.remaining import time_text

QUIET_S = 20.0
SHARES = (
    "top1",
    "top5",
    "mean_average_precision",
    "label_accuracy",
    "miou",
    "boundary_miou",
    "pixel_accuracy",
    "map",
    "ap50",
)  # of `val`


class Reporter(Protocol):
    """Told what happens during a run."""

    def start(self, what: str, total: int, done: int = 0) -> None:
        """A pass of `total` units begins, `done` of them are done already."""

    def advance(self, count: int, note: str = "") -> None:
        """`count` more units are done."""

    def say(self, line: str) -> None:
        """A line that stays."""


class Silent:
    """The reporter that says nothing."""

    def start(self, what: str, total: int, done: int = 0) -> None:
        """Nothing."""

    def advance(self, count: int, note: str = "") -> None:
        """Nothing."""

    def say(self, line: str) -> None:
        """Nothing."""


class Bars:
    """Progress bars with rich where standard error is a terminal, plain lines where it is not.

    `clock` gives seconds that only grow.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.said_at = self.started_at = clock()
        self.done = 0
        self.progress = terminal.Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
        )
        self.task: TaskID | None = None

    def __enter__(self) -> "Bars":
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def start(self, what: str, total: int, done: int = 0) -> None:
        """Replace the bar."""
        if self.task is not None:
            self.progress.remove_task(self.task)
        self.task = self.progress.add_task(what, total=total, completed=done, note="")
        self.said_at = self.started_at = self.clock()
        self.done = done

    def advance(self, count: int, note: str = "") -> None:
        """Move the bar, or say now and then how far it is."""
        if self.task is None:
            return
        self.progress.update(self.task, advance=count, note=note)
        if not self.progress.console.is_terminal and self.clock() - self.said_at >= QUIET_S:
            shown = next(task for task in self.progress.tasks if task.id == self.task)
            assert shown.total is not None  # said at the start
            left_s = (self.clock() - self.started_at) / (shown.completed - self.done) * (shown.total - shown.completed)
            left = f", about {time_text(left_s)} left" if left_s > 0 else ""
            self.say(f"{shown.description} {shown.completed:.0f} of {shown.total:.0f}{left}{note and f'; {note}'}")

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self.said_at = self.clock()
        self.progress.console.print(line)


@contextmanager
def bars() -> Iterator[Bars]:
    """Progress bars for the length of a block."""
    with Bars() as shown:
        yield shown


def epoch_line(entry: dict[str, Any], left: str | None = None) -> str:
    """One epoch's entry of metrics.jsonl as a line for a person, and how long the run still takes."""
    begun = "before training" if entry["loss"] is None else f"loss {entry['loss']:.4f}, {entry['seconds']:.0f} s"
    parts = [f"{entry['phase']} epoch {entry['epoch']}: {begun}"]
    val = entry.get("val") or {}
    parts += [f"val {name} {val[name] * 100:.2f} %" for name in SHARES if name in val]
    return ", ".join(parts) + (f"; {left}" if left else "")
