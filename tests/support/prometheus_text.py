"""A reader of Prometheus' text exposition format 0.0.4, written from its grammar alone.

https://prometheus.io/docs/instrumenting/exposition_formats/: every line is HELP, TYPE or a sample; a metric's lines
stand together, its TYPE before its samples, and no sample stands twice.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{((?:{_LABEL})(?:,{_LABEL})*)?,?\}})? (\S+)(?: (-?\d+))?")
_HEAD = re.compile(rf"# (HELP|TYPE) ({_NAME}) (.*)")
TYPES = ("counter", "gauge", "histogram", "summary", "untyped")
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}
Labels = frozenset[tuple[str, str]]


@dataclass
class Metric:
    """One metric: its type, what it is about, and name and labels of a sample -> value, in their order."""

    kind: str = "untyped"
    about: str = ""
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def value(self, suffix: str = "", **labels: str) -> float:
        """The sample of these labels."""
        (found,) = [v for (name, given), v in self.samples.items() if name == suffix and given == set(labels.items())]
        return found


def parse(text: str) -> Mapping[str, Metric]:
    """The metrics by name. Refuses (AssertionError) what the format does not allow."""
    assert text.endswith("\n"), "the last line has no end"
    metrics: dict[str, Metric] = {}
    current = ""
    for line in text[:-1].split("\n"):
        if head := _HEAD.fullmatch(line):
            word, name, rest = head.groups()
            assert name == current or name not in metrics, f"{name} stands in two places"
            metric, current = metrics.setdefault(name, Metric()), name
            assert not metric.samples, f"{word} of {name} stands behind its samples"
            if word == "TYPE":
                assert rest in TYPES, line
                metric.kind = rest
            else:
                metric.about = rest
            continue
        sample = _SAMPLE.fullmatch(line)
        assert sample, f"no sample: {line!r}"
        name = sample[1]
        suffixes = SUFFIXES.get(metrics[current].kind, ("",)) if current else ()
        suffix = next((suffix for suffix in suffixes if name == current + suffix), None)
        assert suffix is not None, f"{name} does not belong to {current}"
        labels = frozenset(re.findall(_LABEL, sample[2] or ""))
        samples = metrics[current].samples
        assert (suffix, labels) not in samples, f"{line!r} stands twice"
        samples[suffix, labels] = float(sample[7].replace("+Inf", "inf"))
    for name, metric in metrics.items():
        if metric.kind == "histogram":
            _check_histogram(name, metric)
    return metrics


def _check_histogram(name: str, metric: Metric) -> None:
    """Buckets rise to +Inf, which equals the count."""
    series: dict[Labels, list[tuple[float, float]]] = {}
    for (suffix, labels), value in metric.samples.items():
        if suffix == "_bucket":
            bound = float(dict(labels)["le"].replace("+Inf", "inf"))
            series.setdefault(frozenset(pair for pair in labels if pair[0] != "le"), []).append((bound, value))
    for labels, buckets in series.items():
        assert [bound for bound, _ in buckets] == sorted({bound for bound, _ in buckets}), name
        values = [value for _, value in buckets]
        assert values == sorted(values) and buckets[-1][0] == math.inf, name
        assert metric.samples["_count", labels] == values[-1] and ("_sum", labels) in metric.samples, name
