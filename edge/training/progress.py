"""What a person sees of a training run: a bar per epoch and a line per epoch, on standard error."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


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
    """Progress bars with rich where standard error is a terminal, plain lines where it is not."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
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

    def advance(self, count: int, note: str = "") -> None:
        """Move the bar."""
        if self.task is not None:
            self.progress.update(self.task, advance=count, note=note)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self.console.print(line)


@contextmanager
def bars() -> Iterator[Bars]:
    """Progress bars for the length of a block."""
    with Bars() as shown:
        yield shown


def epoch_line(entry: dict[str, Any]) -> str:
    """One epoch's entry of metrics.jsonl as a line for a person."""
    parts = [f"{entry['phase']} epoch {entry['epoch']}: loss {entry['loss']:.4f}, {entry['seconds']:.0f} s"]
    val = entry.get("val") or {}
    parts += [
        f"val {name} {val[name] * 100:.2f} %" for name in ("top1", "top5", "miou", "pixel_accuracy") if name in val
    ]
    return ", ".join(parts)
