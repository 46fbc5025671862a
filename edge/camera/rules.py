"""What an app wants to be told of predictions: a score, the area of classes, or boxes across a line."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from edge.camera.crossings import Line, LineCounter
from edge.camera.hysteresis import Hysteresis, Thresholds
from edge.camera.regions import WHOLE, Region, class_share
from edge.camera.tracks import Tracker, Tracking
from edge.errors import UsageError, unknown_name
from edge.tasks.classify import ClassPrediction, LabelsPrediction
from edge.tasks.detect import BoxPrediction
from edge.tasks.segment import NOT_SEEN, SegmentPrediction
from edge.tasks.task import Prediction


@dataclass(frozen=True, kw_only=True)
class Change:
    """What happened.

    Attributes:
        state: `on`, `off`, or the direction of a crossing, `in` or `out`.
        value: the value that decided; of a crossing how many went in its direction so far.
        details: more, JSON-ready.
    """

    state: str
    value: float
    details: dict[str, Any] = field(default_factory=dict)


class Watcher(Protocol):
    """A rule with its state."""

    def update(self, prediction: Prediction, time_s: float) -> Sequence[Change]:
        """What changed with the prediction of a time."""
        ...


class Rule(Protocol):
    """What is watched for."""

    def watcher(self, task: str, names: tuple[str, ...]) -> Watcher:
        """Begin. Refuses (UsageError) a model of another task, and a name that it does not know."""
        ...


@dataclass(frozen=True, kw_only=True)
class Score:
    """Classification: on while the probability of a label is high; of several labels, of any of them.

    A label that is not among a prediction's best (`edge.tasks.task.TOP`) counts as improbable.
    """

    labels: tuple[str, ...]
    when: Thresholds

    def watcher(self, task: str, names: tuple[str, ...]) -> Watcher:
        """See `Rule`."""
        _require("classify", task)
        _indices(self.labels, names)
        return _Holding(self.when, self._value)

    def _value(self, prediction: Prediction) -> float:
        assert isinstance(prediction, ClassPrediction | LabelsPrediction)
        pairs = zip(prediction.scores.names, prediction.scores.probabilities, strict=True)
        found = [probability for name, probability in pairs if name in self.labels]
        if isinstance(prediction, LabelsPrediction):
            return max(found, default=0.0)
        return math.fsum(found)  # they exclude each other


@dataclass(frozen=True, kw_only=True)
class Area:
    """Segmentation: on while classes cover much of a region; where the model saw nothing of it nothing changes."""

    classes: tuple[str, ...]
    when: Thresholds
    region: Region = WHOLE

    def watcher(self, task: str, names: tuple[str, ...]) -> Watcher:
        """See `Rule`."""
        _require("segment", task)
        indices = _indices(self.classes, names)

        def share(prediction: Prediction) -> float:
            assert isinstance(prediction, SegmentPrediction)
            # The model's own map will do where it is the whole frame: shares of the sides are the same on both.
            whole = prediction.seen_share == 1 and not (prediction.model_map == NOT_SEEN).any()
            class_map = prediction.model_map if whole else prediction.class_map
            return class_share(class_map, indices, self.region, unseen=NOT_SEEN)

        return _Holding(self.when, share)


@dataclass(frozen=True, kw_only=True)
class Crossed:
    """Detection: boxes of some classes (none named: of all) that cross a line, each once."""

    line: Line
    classes: tuple[str, ...] = ()
    tracking: Tracking = field(default_factory=Tracking)

    def watcher(self, task: str, names: tuple[str, ...]) -> Watcher:
        """See `Rule`."""
        _require("detect", task)
        return _Crossing(self, _indices(self.classes or names, names), names)


class _Holding:
    """A value that is held against thresholds."""

    def __init__(self, when: Thresholds, value: Any) -> None:
        self._state, self._value = Hysteresis(when), value

    def update(self, prediction: Prediction, time_s: float) -> Sequence[Change]:
        value = self._value(prediction)
        changed = self._state.update(value, time_s)
        return [] if changed is None else [Change(state="on" if changed else "off", value=round(value, 4))]


class _Crossing:
    def __init__(self, rule: Crossed, labels: tuple[int, ...], names: tuple[str, ...]) -> None:
        self._tracker, self._counter = Tracker(rule.tracking), LineCounter(rule.line)
        self._labels, self._names = labels, names

    def update(self, prediction: Prediction, time_s: float) -> Sequence[Change]:
        assert isinstance(prediction, BoxPrediction)
        found = prediction.boxes
        wanted = [row for row, label in enumerate(found.labels.tolist()) if label in self._labels]
        tracks = self._tracker.update(found.boxes[wanted], found.labels[wanted], time_s)
        changes = []
        for crossing in self._counter.update(tracks, prediction.frame_hw, time_s):
            track, counts = crossing.track, {str(name): count for name, count in self._counter.counts.items()}
            details = {"track": track.number, "name": self._names[track.label], **counts}
            changes.append(Change(state=crossing.direction, value=counts[crossing.direction], details=details))
        return changes


def _require(wanted: str, task: str) -> None:
    if task != wanted:
        raise UsageError(f"a rule for a model that can {wanted}, and this one can {task}")


def _indices(wanted: Sequence[str], names: tuple[str, ...]) -> tuple[int, ...]:
    for name in wanted:
        if name not in names:
            raise UsageError(unknown_name("class", name, names))
    return tuple(names.index(name) for name in wanted)
