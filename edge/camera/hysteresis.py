"""Whether something holds, by a value that flickers: two thresholds, and for how long each must be kept."""

from dataclasses import dataclass

from edge.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """When a state begins and ends.

    Attributes:
        enter: it begins once the value was at least this for `enter_s` seconds without a break.
        leave: it ends once the value was below this for `leave_s` seconds without a break; at most `enter`.
        gap_s: values that are further apart say nothing of the time between them: what was counted begins anew.
    """

    enter: float
    leave: float
    enter_s: float = 0.0
    leave_s: float = 0.0
    gap_s: float = 5.0

    def __post_init__(self) -> None:
        if not self.leave <= self.enter:
            raise UsageError(f"leaves at {self.leave} and enters at {self.enter}; it has to leave at no more")
        if not (self.enter_s >= 0 and self.leave_s >= 0 and self.gap_s > 0):
            raise UsageError("times of a hysteresis are not negative, and its gap is longer than 0 s")


class Hysteresis:
    """A state, off at first, that follows a value; see `Thresholds`."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._since_s: float | None = None  # since when the value has asked for the other state
        self._last_s = float("-inf")
        self.on = False

    def update(self, value: float, time_s: float) -> bool | None:
        """Take the value of a time (never before the last one); the new state where it changes now, else None.

        A value that is not a number asks for nothing.
        """
        told = self._thresholds
        asks = value < told.leave if self.on else value >= told.enter
        if not asks or time_s - self._last_s > told.gap_s:
            self._since_s = None
        self._last_s = time_s
        if not asks:
            return None
        if self._since_s is None:
            self._since_s = time_s
        # Times are sums of frames' lengths: half a millisecond is no time.
        if time_s - self._since_s < (told.leave_s if self.on else told.enter_s) - 5e-4:
            return None
        self.on, self._since_s = not self.on, None
        return self.on
