"""How long to wait before the next try: longer each time up to a limit, and never in step with other devices.

Half of the wait is fixed and half is drawn, so that a hundred cameras do not come back to one server in the same
moment ("equal jitter": M. Brooker, Exponential Backoff and Jitter, AWS Architecture Blog, 2015).
"""

from dataclasses import dataclass, field
from random import Random

FIRST_S = 0.5
CAP_S = 30.0


@dataclass(kw_only=True)
class Backoff:
    """The waits between tries, in seconds; `reset` after one that succeeded."""

    first_s: float = FIRST_S
    cap_s: float = CAP_S
    random: Random = field(default_factory=Random)
    tries: int = 0

    def next_s(self) -> float:
        """The wait before the next try: between half and all of min(cap, first * 2^tries)."""
        whole = min(self.cap_s, self.first_s * 2.0 ** min(self.tries, 64))
        self.tries += 1
        return whole * (0.5 + 0.5 * self.random.random())

    def reset(self) -> None:
        """Begin with the shortest again."""
        self.tries = 0
