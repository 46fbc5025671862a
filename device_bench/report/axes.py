"""Axes of the charts: where a value lies, and which values are written beside it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MOST_TICKS = 6


@dataclass(frozen=True, kw_only=True)
class Axis:
    """From values to places in a drawing.

    Attributes:
        place: value -> coordinate. ticks: (coordinate, text) pairs.
    """

    place: Callable[[float], float]
    ticks: tuple[tuple[float, str], ...]


def number_text(value: float) -> str:
    """A number with three significant digits and no exponent: `0.025`, `1.5`, `12,000`."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(digits, 9)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def linear_axis(values: Sequence[float], start: float, end: float, *, from_zero: bool = False) -> Axis:
    """An even axis over all values, with round ticks; `start` may lie beyond `end` (an axis that points up)."""
    low = 0.0 if from_zero else min(values, default=0.0)
    high = max(values, default=1.0)
    if high <= low:
        low, high = (0.0, high or 1.0) if high > 0 else (low, low + 1)
    step = _step(high - low)
    if not from_zero:
        low = math.floor(low / step) * step
    high = math.ceil(high / step - 1e-9) * step
    scale = (end - start) / (high - low)
    count = round((high - low) / step)
    ticks = [low + step * number for number in range(count + 1)]

    def place(value: float) -> float:
        return start + (value - low) * scale

    return Axis(place=place, ticks=tuple((round(place(tick), 1), number_text(round(tick, 12))) for tick in ticks))


def _step(span: float) -> float:
    base = 10.0 ** math.floor(math.log10(span / (MOST_TICKS - 1)))
    return next(base * factor for factor in (1, 2, 2.5, 5, 10) if span / (base * factor) <= MOST_TICKS - 1)


def log_axis(values: Sequence[float], start: float, end: float) -> Axis:
    """A logarithmic axis over all values above 0, with ticks at 1, 2 and 5 times powers of ten."""
    positive = [value for value in values if value > 0] or [1.0]
    low, high = math.log10(min(positive)), math.log10(max(positive))
    pad = max((high - low) * 0.04, 0.03)
    low, high = low - pad, high + pad
    scale = (end - start) / (high - low)

    def place(value: float) -> float:
        return start + (math.log10(max(value, 1e-12)) - low) * scale

    decades = range(math.floor(low), math.ceil(high) + 1)
    fine = (
        ((1, 2, 5), (1, 3), (1,)) if high - low > 0.7 else ((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 1.5, 2, 3, 5, 7))
    )
    for factors in (*fine, (1, 2, 5), (1,)):
        ticks = [f * 10.0**d for d in decades for f in factors if low <= math.log10(f * 10.0**d) <= high]
        if len(ticks) <= MOST_TICKS:
            break
    ticks = ticks[:: max(-(-len(ticks) // MOST_TICKS), 1)]
    if len(ticks) < 2:
        ticks = [10**low * 10 ** ((high - low) * share) for share in (0.1, 0.5, 0.9)]
    return Axis(place=place, ticks=tuple((round(place(tick), 1), number_text(tick)) for tick in ticks))
