"""Times by events: recorded in a device's own queue, read when the device has finished."""

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Protocol

import torch

from edge.engines.engine import DeviceTimes

Clock = Callable[[], int]


class Events(Protocol):
    """Marks in a device's queue of work."""

    def mark(self) -> Any:
        """Put a mark after the work that was given to the device so far."""
        ...

    def synchronize(self) -> None:
        """Return when the device has finished all its work."""
        ...

    def elapsed_ns(self, start: Any, end: Any) -> int:
        """Nanoseconds between two marks that the device has passed."""
        ...


class CudaEvents:
    """CUDA events on the current stream; their resolution is about half a microsecond."""

    def mark(self) -> torch.cuda.Event:
        """A recorded event."""
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def synchronize(self) -> None:
        """Wait for the device."""
        torch.cuda.synchronize()

    def elapsed_ns(self, start: torch.cuda.Event, end: torch.cuda.Event) -> int:
        """Nanoseconds between two events."""
        elapsed_ms: float = start.elapsed_time(end)
        return round(elapsed_ms * 1e6)


class HostEvents:
    """For a device that finishes its work before it returns: the CPU. A mark is a reading of the clock."""

    def __init__(self, clock: Clock = time.perf_counter_ns) -> None:
        self._clock = clock

    def mark(self) -> int:
        """The time now."""
        return self._clock()

    def synchronize(self) -> None:
        """Everything is done already."""

    def elapsed_ns(self, start: int, end: int) -> int:
        """Nanoseconds between two readings."""
        return end - start


def device_times(
    events: Events, copy_in: Callable[[], None], compute: Callable[[], None], copy_out: Callable[[], None]
) -> DeviceTimes:
    """Give a device three pieces of work in a row and say how long it had with each.

    The device is idle when the first begins, and the times are read after it has finished the last.
    """
    events.synchronize()
    marks = [events.mark()]
    for part in (copy_in, compute, copy_out):
        part()
        marks.append(events.mark())
    events.synchronize()
    spent = [events.elapsed_ns(start, end) for start, end in pairwise(marks)]
    return DeviceTimes(to_device_ns=spent[0], compute_ns=spent[1], to_host_ns=spent[2])
