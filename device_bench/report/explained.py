"""Explanations as charts: where the time goes by operator, and the roofline."""

from typing import Any

from device_bench.records.explanation import Explanation
from device_bench.report.axes import log_axis
from device_bench.report.charts import LEFT, RIGHT, TOP

MOST_OPERATORS = 20
FLOOR = 220


def explained(title: str, explanation: Explanation) -> dict[str, Any]:
    """What the page draws of one: the slowest operators as bars, all with a count in the roofline."""
    slowest = sorted(explanation.operators, key=lambda operator: -operator.time_ns)[:MOST_OPERATORS]
    longest = max(max(operator.share_time, operator.share_multiply_adds or 0.0) for operator in slowest)
    bars = [
        {
            "name": ", ".join(operator.names),
            "kind": operator.kind,
            "share_time": operator.share_time,
            "share_multiply_adds": operator.share_multiply_adds,
            "time_width": _width(operator.share_time, longest),
            "adds_width": _width(operator.share_multiply_adds, longest),
        }
        for operator in slowest
    ]
    return {
        "title": title,
        "engine": f"{explanation.engine}, {explanation.threads} thread{'s' * (explanation.threads > 1)}",
        "method": explanation.method,
        "whole_ns": explanation.whole_ns,
        "unexplained": explanation.unexplained_words,
        "bars": bars,
        "left_out": len(explanation.operators) - len(bars),
        "roofline": _roofline(explanation),
        "reasons": explanation.reasons,
        "changes": explanation.changes,
    }


def _width(share: float | None, longest: float) -> float:
    return round(100 * max(share or 0.0, 0.0) / max(longest, 1e-9), 2)


def _roofline(explanation: Explanation) -> dict[str, Any] | None:
    """Multiply-adds per second against multiply-adds per byte, both logarithmic, under the measured peaks."""
    points = [
        (operator, operator.intensity, operator.multiply_adds / operator.time_ns)
        for operator in explanation.operators
        if operator.multiply_adds and operator.intensity and operator.intensity > 0 and operator.time_ns > 0
    ]
    if not points:
        return None
    peaks = explanation.peaks
    tops = [
        (color, label, rate / 1e9)
        for color, label, rate in (
            (2, "int8 peak", peaks.int8_multiply_adds_per_s),
            (1, "float peak", peaks.float_multiply_adds_per_s),
        )
        if rate is not None
    ]
    across = [intensity for _, intensity, _ in points]
    ridge = max((top for _, _, top in tops), default=max(rate for _, _, rate in points))
    slope = peaks.bandwidth_bytes_per_s / 1e9
    caches = peaks.bandwidths[0].bytes_per_s / 1e9
    low, high = min(*across, ridge / caches) / 2, max(*across, ridge / slope)
    axis = log_axis([low, high], LEFT, RIGHT)
    upward = log_axis(
        [*(rate for _, _, rate in points), *(top for _, _, top in tops), low * slope, low * caches], FLOOR, TOP
    )
    roofs = [(3, "memory bandwidth", low, low * slope, ridge / slope, ridge)]
    if caches > slope:
        roofs.append((4, "caches' bandwidth", low, low * caches, ridge / caches, ridge))
    roofs += [(color, label, min(top / slope, high), top, high, top) for color, label, top in tops]
    return {
        "x": axis.ticks,
        "y": upward.ticks,
        "floor": FLOOR,
        "lines": [
            {
                "label": label,
                "color": color,
                "points": f"{axis.place(x1):.1f},{upward.place(y1):.1f} {axis.place(x2):.1f},{upward.place(y2):.1f}",
            }
            for color, label, x1, y1, x2, y2 in roofs
        ],
        "points": [
            {
                "x": round(axis.place(intensity), 1),
                "y": round(upward.place(rate), 1),
                "title": f"{', '.join(operator.names)} ({operator.kind}): {rate:.3g} G multiply-adds/s",
            }
            for operator, intensity, rate in points
        ],
    }
