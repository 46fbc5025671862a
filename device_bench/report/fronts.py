"""Charts of the candidates of `edge models --fit`: what they cost on a device, against accuracy and size."""

from collections.abc import Sequence

from device_bench.report.axes import linear_axis, log_axis, number_text
from device_bench.report.charts import COLORS, LEFT, MOST_POINTS, RIGHT, TOP, Chart, Point, front_of, milli, steps
from device_bench.report.groups import Group

FLOOR = 220


def fronts(groups: Sequence[Group]) -> list[Chart]:
    """Per place that measured candidates: a chart for each metric they were published by, and one of file sizes."""
    charts = []
    where: dict[str, list[Group]] = {}
    for group in groups:
        if group.candidate and _cost(group):
            where.setdefault(_how(group), []).append(group)
    for how, there in where.items():
        for metric in sorted({group.published_metric for group in there if group.published_metric}):
            known = [group for group in there if group.published_metric == metric]
            points = [(_cost(group), 100 * (group.published or 0.0), group) for group in known]
            charts.append(_chart(f"{metric}, published", f"{metric}, %", "%", how, points, front=True))
        sized = [(_cost(group), (group.medians["size_bytes"] or 0) / 1e6, group) for group in there]
        charts.append(_chart("Size of the file", "file, MB", "MB", how, sized, front=False))
    return charts


def _how(group: Group) -> str:
    return f"{group.how}, instructions of {group.emulated_cpu}" if group.emulated else group.how


def _cost(group: Group) -> float:
    """Milliseconds, of an emulated processor millions of instructions; 0: neither is known."""
    return (group.medians["instructions"] or 0) / 1e6 if group.emulated else milli(group.latency_ns[50] or 0)


def _chart(title: str, y_title: str, unit: str, how: str, found: Sequence[Point], *, front: bool) -> Chart:
    points = sorted(found, key=lambda point: (point[0], -point[1]))[:MOST_POINTS]
    axis = log_axis([x for x, _, _ in points], LEFT, RIGHT)
    upward = linear_axis([y for _, y, _ in points], FLOOR, TOP, from_zero=not front)
    models = list(dict.fromkeys(_model(group) for _, _, group in points))
    emulated = points[0][2].emulated
    cost = "M instructions" if emulated else "ms"
    best = front_of(points) if front else []

    def told(point: Point) -> str:
        x, y, group = point
        mark = "" if group.emulated else group.mark
        return f"{group.key['name']} {mark}{number_text(x)} {cost}, {number_text(y)} {unit}"

    return {
        "title": title,
        "how": how,
        "x_title": f"{'instructions, M' if emulated else 'p50 latency, ms'} (logarithmic)",
        "y_title": y_title,
        "x": axis.ticks,
        "y": upward.ticks,
        "floor": FLOOR,
        "front": steps(best, axis, upward, FLOOR) if best else "",
        "best": [told(point) for point in best],
        "models": list(enumerate(models))[:COLORS],
        "points": [
            {
                "x": round(axis.place(x), 1),
                "y": round(upward.place(y), 1),
                "color": min(models.index(_model(group)), COLORS - 1),
                "tainted": bool(group.mark) and not emulated,
                "title": told((x, y, group)),
            }
            for x, y, group in points
        ],
    }


def _model(group: Group) -> str:
    return str(group.key["name"]).split("-")[0]
