"""The counts of a run as Prometheus reads them: text exposition format 0.0.4, in base units (seconds)."""

from collections.abc import Iterable, Mapping

from edge.camera.run_counts import BUCKETS_S, Histogram, State

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "edge_camera_"


def exposition(state: State) -> str:
    """Every metric with its HELP and TYPE line; a cause or stage is a label."""
    lines: list[str] = []

    def tell(name: str, kind: str, about: str, samples: Iterable[tuple[str, float]]) -> None:
        lines.extend((f"# HELP {PREFIX}{name} {about}", f"# TYPE {PREFIX}{name} {kind}"))
        lines.extend(f"{PREFIX}{name}{suffix} {_number(value)}" for suffix, value in samples)

    def labelled(key: str, counts: Mapping[str, int]) -> list[tuple[str, float]]:
        return [(_labels({key: word}), number) for word, number in sorted(counts.items())]

    tell("frames_total", "counter", "Frames that the source gave.", [("", state.frames)])
    tell("answered_total", "counter", "Frames that the model answered.", [("", state.answered)])
    tell("dropped_total", "counter", "Frames without an answer, by cause.", labelled("cause", state.dropped))
    tell(
        "undelivered_total",
        "counter",
        "Answers that a receiver had no time for.",
        labelled("receiver", state.undelivered),
    )
    tell("over_budget_total", "counter", "Answers older than the latency budget.", [("", state.over_budget)])
    tell("reconnects_total", "counter", "Times that the source came back.", [("", state.reconnects)])
    tell("restarts_total", "counter", "Workers that hung and were replaced.", [("", state.replacements)])
    tell("online", "gauge", "1 while the source delivers frames.", [("", float(state.online))])
    age = [] if state.age_ns is None else [("", state.age_ns / 1e9)]
    tell("answer_age_seconds", "gauge", "Age of the last answer when it was made, from the frame's capture.", age)
    stages = [sample for stage, times in state.times.items() for sample in _histogram(stage, times)]
    tell("stage_seconds", "histogram", "Time in each stage of the loop, and from capture to the end.", stages)
    return "\n".join(lines) + "\n"


def _histogram(stage: str, times: Histogram) -> Iterable[tuple[str, float]]:
    """Cumulative buckets, the last of them +Inf, then sum and count."""
    total = 0
    for bound, count in zip((*map(_number, BUCKETS_S), "+Inf"), times.counts, strict=True):
        total += count
        yield f"_bucket{_labels({'stage': stage, 'le': bound})}", total
    yield f"_sum{_labels({'stage': stage})}", times.sum_ns / 1e9
    yield f"_count{_labels({'stage': stage})}", total


def _labels(labels: Mapping[str, str]) -> str:
    escaped = {
        key: value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"') for key, value in labels.items()
    }
    return "{" + ",".join(f'{key}="{value}"' for key, value in escaped.items()) + "}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
