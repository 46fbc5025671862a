"""Durations, sizes and counts as people write them, always with a unit: `30ms`, `4MB`, `50M`."""

import re
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from edge.errors import UsageError

DURATION_UNITS: Mapping[str, int] = MappingProxyType({"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9})
SIZE_UNITS: Mapping[str, int] = MappingProxyType(
    {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
)
COUNT_UNITS: Mapping[str, int] = MappingProxyType({"k": 10**3, "M": 10**6, "G": 10**9})
_QUANTITY = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*([A-Za-zµ]*)", re.ASCII)


def duration_ns(text: str) -> int:
    """Nanoseconds of `30ms`, `800us`, `1.2s`, rounded. Refuses (UsageError) zero, no unit and an unknown unit."""
    return _quantity(text.replace("µ", "u"), DURATION_UNITS, "duration", "30ms")


def size_bytes(text: str) -> int:
    """Bytes of `4MB` (4,000,000), `4MiB` (4,194,304), rounded. Refuses (UsageError) zero and no or an unknown unit."""
    return _quantity(text, SIZE_UNITS, "size", "4MB")


def count(text: str) -> int:
    """The number behind `50M`, `1.2G`, rounded. Refuses (UsageError) zero and no or an unknown unit."""
    return _quantity(text, COUNT_UNITS, "count", "50M")


def duration_text(value_ns: int) -> str:
    """A duration with its unit and three significant digits: `27.3 ms`, `812 us`, `1.25 s`."""
    unit = next((name for name in ("s", "ms", "us") if value_ns >= DURATION_UNITS[name]), "ns")
    return f"{_three_digits(value_ns / DURATION_UNITS[unit])} {unit}"


def size_text(value_bytes: int) -> str:
    """A size with its unit and three significant digits: `4.00 MB` (4,000,688 bytes)."""
    unit = next((name for name in ("GB", "MB", "kB") if value_bytes >= SIZE_UNITS[name]), "B")
    return f"{_three_digits(value_bytes / SIZE_UNITS[unit])} {unit}"


def _three_digits(value: float) -> str:
    if value == int(value) or value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _quantity(text: str, units: Mapping[str, int], kind: str, example: str) -> int:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match.group(2) not in units:
        problem = "has no unit" if match is not None and not match.group(2) else f"is not a {kind}"
        raise UsageError(f"'{text}' {problem}; write a number and one of {', '.join(units)}, such as {example}")
    value = int((Decimal(match.group(1)) * units[match.group(2)]).to_integral_value())
    if value <= 0:
        raise UsageError(f"'{text}' must be more than zero")
    return value
