"""A run says how far it is, also where nobody sees a bar."""

import io
from collections.abc import Iterator

from rich.console import Console

from edge.training.progress import Bars


def test_a_long_epoch_says_how_far_it_is_where_there_is_no_terminal() -> None:
    written = io.StringIO()
    seconds: Iterator[float] = iter(range(0, 1000, 5))
    shown = Bars(Console(file=written, force_terminal=False), clock=lambda: next(seconds))
    with shown:
        shown.start("float epoch 1", 10)
        for _ in range(10):
            shown.advance(1, "loss 1.50")
    lines = written.getvalue().splitlines()
    assert lines[0].startswith("float epoch 1 4 of 10, about ") and lines[0].endswith(" left; loss 1.50")
    assert lines[1].startswith("float epoch 1 8 of 10, about ")


def test_an_epoch_says_how_long_it_still_takes_by_the_steps_of_this_process() -> None:
    """Begun at step 60 of 100; 10 steps of 3 seconds, so 30 more take 90."""
    written, now = io.StringIO(), 0.0
    shown = Bars(Console(file=written, force_terminal=False), clock=lambda: now)
    with shown:
        shown.start("qat epoch 2/3", 100, done=60)
        now = 30.0
        shown.advance(10)
    assert written.getvalue() == "qat epoch 2/3 70 of 100, about 2 min left\n"


def test_a_short_epoch_says_nothing() -> None:
    written = io.StringIO()
    shown = Bars(Console(file=written, force_terminal=False), clock=lambda: 0.0)
    with shown:
        shown.start("float epoch 1", 10)
        shown.advance(10)
    assert written.getvalue() == ""
