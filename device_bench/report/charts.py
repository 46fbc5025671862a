"""Geometry of the report's charts: plain numbers and texts, which the page's template draws as SVG.

Every drawing is WIDTH units wide; on a phone a unit is about a pixel.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from device_bench.records.record_parts import STAGES
from device_bench.report.axes import Axis, linear_axis, log_axis, number_text
from device_bench.report.groups import SHARES, Group, gain_text

WIDTH = 400
LEFT, RIGHT, TOP, BOTTOM = 46, 386, 12, 44
COLORS = 6
MOST_CURVES = 6
MOST_BARS = 24
MOST_POINTS = 300
Chart = dict[str, Any]


def milli(duration_ns: float) -> float:
    """Nanoseconds as milliseconds."""
    return duration_ns / 1e6


def strips(groups: Sequence[Group]) -> Chart | None:
    """One strip per group, the fastest first, on a logarithmic axis.

    Samples from p1 to p99 are a line, p25 to p75 a box, p50 and p90 ticks. Places are percent of the width; the p50
    that is written is the one that is drawn.
    """
    shown = sorted(
        _commonest([group for group in groups if group.quantiles_ns], MOST_BARS), key=lambda group: _at(group, 0.5)
    )
    if not shown:
        return None
    edges = [milli(_at(group, share)) for group in shown for share in (0.01, 0.99)]
    axis = log_axis(edges, 2, 98)
    rows = [
        {
            "title": group.what,
            "detail": group.how,
            "mark": group.mark,
            "kinds": group.kinds,
            "p50": _at(group, 0.5),
            "records": group.records,
            "gain": gain_text(group, groups),
            **{f"x{round(share * 100)}": round(axis.place(milli(_at(group, share))), 1)
               for share in (0.01, 0.25, 0.5, 0.75, 0.9, 0.99)},
        }
        for group in shown
    ]  # fmt: skip
    return {
        "rows": rows,
        "ticks": axis.ticks,
        "left_out": sum(bool(group.quantiles_ns) for group in groups) - len(rows),
    }


def _commonest(groups: Sequence[Group], most: int) -> list[Group]:
    """The groups with the most records, in their order."""
    kept = sorted(range(len(groups)), key=lambda place: -groups[place].records)[:most]
    return [groups[place] for place in sorted(kept)]


def _at(group: Group, share: float) -> int:
    """The quantile at a share of SHARES."""
    return group.quantiles_ns[min(range(len(SHARES)), key=lambda place: abs(SHARES[place] - share))]


def curves(groups: Sequence[Group]) -> list[Chart]:
    """Per artifact a chart of cumulative shares: how many of all runs were answered within a time."""
    names = dict.fromkeys(group.what for group in groups if group.quantiles_ns)
    charts = []
    colors = {how: place for place, how in enumerate(dict.fromkeys(group.how for group in groups))}
    for name in list(names)[:MOST_CURVES]:
        shown = _commonest([group for group in groups if group.what == name and group.quantiles_ns], MOST_CURVES)
        inner = [share for share in SHARES if share <= 0.99]
        axis = log_axis([milli(_at(group, share)) for group in shown for share in inner], LEFT, RIGHT)
        upward = linear_axis([0.0, 100.0], 160, TOP)
        taken = _distinct([colors[group.how] for group in shown])
        lines = [
            {
                "label": f"{group.mark}{group.how}",
                "color": color,
                "points": " ".join(
                    f"{axis.place(milli(_at(group, share))):.1f},{upward.place(100 * share):.1f}" for share in inner
                ),
            }
            for color, group in zip(taken, shown, strict=True)
        ]
        charts.append({"title": name, "lines": lines, "x": axis.ticks, "y": upward.ticks, "floor": 160})
    return charts


def _distinct(wanted: Sequence[int]) -> list[int]:
    """Colours, each the one wanted or the next that is free: what ran it looks alike in all charts where it can."""
    taken: list[int] = []
    for color in wanted:
        free = (step % COLORS for step in range(color, color + COLORS) if step % COLORS not in taken)
        taken.append(next(free))
    return taken


def pareto(groups: Sequence[Group]) -> list[Chart]:
    """Per metric: accuracy against p50, and the front: what nothing else beats in both."""
    charts = []
    for metric in sorted({group.metric for group in groups if group.metric}):
        known = [group for group in groups if group.metric == metric and group.latency_ns[50]]
        points = [(milli(group.latency_ns[50] or 0), 100 * (group.accuracy or 0.0), group) for group in known]
        if not points:
            continue
        points = sorted(points, key=lambda point: (point[0], -point[1]))[:MOST_POINTS]
        axis = log_axis([point[0] for point in points], LEFT, RIGHT)
        upward = linear_axis([point[1] for point in points], 220, TOP)
        machines = list(dict.fromkeys(group.key["machine"] for _, _, group in points))
        front = front_of(points)
        charts.append(
            {
                "metric": metric,
                "x": axis.ticks,
                "y": upward.ticks,
                "floor": 220,
                "front": steps(front, axis, upward),
                "best": [(group.mark, group.what, group.how, x, y) for x, y, group in front],
                "machines": list(enumerate(machines))[:COLORS],
                "more_machines": max(len(machines) - COLORS, 0),
                "points": [
                    {
                        "x": round(axis.place(x), 1),
                        "y": round(upward.place(y), 1),
                        "color": min(machines.index(group.key["machine"]), COLORS - 1),
                        "tainted": bool(group.mark),
                        "title": f"{group.what}, {group.how}: {group.mark}{number_text(x)} ms, {y:.1f} %",
                    }
                    for x, y, group in points
                ],
            }
        )
    return charts


Point = tuple[float, float, Group]


def front_of(points: Sequence[Point]) -> list[Point]:
    """Of points from left to right, equal ones the upper first: those that no other is left of and above."""
    best, front = -1.0, []
    for x, y, group in points:
        if y > best:
            best = y
            front.append((x, y, group))
    return front


def steps(front: Sequence[Point], axis: Axis, upward: Axis, floor: int = 220) -> str:
    """A front as the points of a stepped line, from the floor to the right edge."""
    found = [f"{axis.place(front[0][0]):.1f},{floor}"]
    for place, (x, y, _) in enumerate(front):
        end = front[place + 1][0] if place + 1 < len(front) else None
        right = axis.place(end) if end is not None else RIGHT
        found += [f"{axis.place(x):.1f},{upward.place(y):.1f}", f"{right:.1f},{upward.place(y):.1f}"]
    return " ".join(found)


def stacks(groups: Sequence[Group], parts: Sequence[tuple[str, str]]) -> Chart | None:
    """One stacked bar per group of medians in nanoseconds; all bars have the same scale.

    Args:
        parts: (name in `Group.medians`, name for a reader).
    """
    known = [group for group in groups if any(group.medians[name] for name, _ in parts)]
    shown = _commonest(known, MOST_BARS)
    longest = max((sum(group.medians[name] or 0 for name, _ in parts) for group in shown), default=0)
    if not longest:
        return None
    rows = []
    for group in shown:
        reached = 0.0
        pieces = []
        for color, (name, label) in enumerate(parts):
            value = group.medians[name] or 0
            width = value / longest * WIDTH
            if value:
                pieces.append({"x": round(reached, 2), "width": round(width, 2), "color": color,
                               "title": f"{label} {group.mark}{number_text(milli(value))} ms"})  # fmt: skip
            reached += width
        total = milli(sum(group.medians[name] or 0 for name, _ in parts))
        rows.append({"title": group.what, "detail": group.how, "mark": group.mark, "total": f"{number_text(total)} ms",
                     "pieces": pieces})  # fmt: skip
    legend = [(color, label) for color, (_, label) in enumerate(parts)]
    return {"rows": rows, "legend": legend, "left_out": len(known) - len(shown)}


STAGE_PARTS = tuple((f"{stage}_ns", stage) for stage in STAGES)
COLD_PARTS = (("import_ns", "import the runtime"), ("load_ns", "open the file"), ("first_ns", "first inference"))
TRANSFER_PARTS = (("to_device_ns", "to the device"), ("to_host_ns", "back to the host"))


def over_time(series: Sequence[Mapping[str, Any]], quantity: str) -> Chart | None:
    """Lines of one quantity (`celsius`, `megahertz`) of the machines' states over seconds."""
    kept = [
        (
            entry["label"],
            [(state["second"], state[quantity]) for state in entry["states"] if state[quantity] is not None],
        )
        for entry in series
    ]
    kept = [(label, points) for label, points in kept if points][:MOST_CURVES]
    if not kept:
        return None
    axis = linear_axis([x for _, points in kept for x, _ in points], LEFT, RIGHT, from_zero=True)
    upward = linear_axis([y for _, points in kept for _, y in points], 160, TOP)
    lines = [
        {
            "label": label,
            "color": place,
            "points": " ".join(f"{axis.place(x):.1f},{upward.place(y):.1f}" for x, y in points),
        }
        for place, (label, points) in enumerate(kept)
    ]
    return {"lines": lines, "x": axis.ticks, "y": upward.ticks, "floor": 160}
