"""Memory that this process holds in RAM, and the most that it held since a moment of our choice."""

from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
FORGET_THE_PEAK = "5"  # Linux: resets VmHWM to what is resident now
SLACK_BYTES = 4 << 20  # what may come between the reset and the look at it


def resident_bytes(field: str) -> int | None:
    """`VmRSS` (now) or `VmHWM` (the peak) of this process; None where the system does not say."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.split()
        if words and words[0] == f"{field}:" and len(words) == 3 and words[1].isdecimal():
            return int(words[1]) * 1024
    return None


def forget_peak() -> bool:
    """Start the peak anew; False where the system does not let us, or takes the request and does nothing."""
    try:
        CLEAR.write_text(FORGET_THE_PEAK)
    except OSError:
        return False
    now, peak = resident_bytes("VmRSS"), resident_bytes("VmHWM")
    return now is not None and peak is not None and peak <= now + SLACK_BYTES


class PeakMemory:
    """The peak from its making on, as fields of `device_bench.records.record_parts.Memory`.

    Of several models in one process each peak is told apart where the system starts peaks anew; where it does not, only
    the first one's is known. An emulated process shows the emulator's memory too: unknown.
    """

    def __init__(self, *, first: bool, emulated: bool) -> None:
        self._known = (forget_peak() or first) and not emulated
        self._before = resident_bytes("VmRSS") if not emulated else None

    def fields(self) -> dict[str, Any]:
        """The peak until now."""
        peak = resident_bytes("VmHWM") if self._known else None
        return {"peak_rss_bytes": peak, "rss_before_bytes": self._before, "arena_bytes": None}
