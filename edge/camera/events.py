"""What happens in front of a camera, for apps: a generator of events, and callbacks beside it.

An app says what it watches for (`edge.camera.rules`); every event has a JSON form.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from edge.camera.capture import Capture
from edge.camera.rules import Rule
from edge.camera.sources.opening import open_source
from edge.camera.sources.source import Source
from edge.errors import EdgeError
from edge.predictor.predictor import Predictor
from edge.tasks.task import Prediction
from edge.vision.frame import Frame

MOST_FAILURES = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class Event:
    """One event.

    Attributes:
        kind: `change` (of a rule), `result` (of a frame), `error`.
        rule: the name under which the app gave the rule; of a change alone.
        state, value, details: see `edge.camera.rules.Change`; of a result its plain fields, of an error its message.
        frame: the frame's name.
        time_s: since the first frame: of a film its own time, of a camera that of its clock.
        utc: when the frame was taken by the clock of this machine, ISO 8601; None: of a film.
        prediction: of the frame; None: there is none.
    """

    kind: Literal["change", "result", "error"]
    rule: str = ""
    state: str = ""
    value: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    frame: str = ""
    time_s: float = 0.0
    utc: str | None = None
    prediction: Prediction | None = None

    def plain(self) -> dict[str, Any]:
        """JSON-ready fields, for a line of `edge.terminal.say_json`."""
        told = {"rule": self.rule, "state": self.state, "value": self.value} if self.kind == "change" else {}
        timed = {"frame": self.frame, "time_s": round(self.time_s, 3), "utc": self.utc}
        return {"kind": self.kind, **timed, **told, **self.details}


OnEvent = Callable[[Event], None]


def watch_events(
    predictor: Predictor,
    source: str | Source | Capture,
    rules: Mapping[str, Rule],
    *,
    results: bool = False,
    on_result: OnEvent | None = None,
    on_change: OnEvent | None = None,
    on_error: OnEvent | None = None,
) -> Iterator[Event]:
    """Predict frame after frame, and tell what changes; the source is closed when the generator is.

    A callback is called for its events before they are given.

    Args:
        source: as `edge camera --source` names it; a camera's newest frame is taken, and of a film every one.
        rules: by a name of the app's own.
        results: give an event for every frame, too.
        on_error: with it errors are events. A frame that fails is left out, until MOST_FAILURES fail in a row; where
            the source fails that is the last event. Without it every error is raised.

    Raises:
        UsageError: a rule that the model cannot follow, before the first frame.
        EdgeError: where the source or a prediction fails, and there is no `on_error`.
    """
    manifest = predictor.artifact.manifest
    watchers = {name: rule.watcher(manifest.task, manifest.labels.names) for name, rule in rules.items()}
    opened = open_source(source) if isinstance(source, str) else source
    capture = opened if isinstance(opened, Capture) else Capture(opened)
    callbacks = {"result": on_result, "change": on_change, "error": on_error}

    def events() -> Iterator[Event]:
        failures = 0
        clock = _FrameClock(capture)
        frames = capture.frames()
        while True:
            told: dict[str, Any] = {}
            try:
                frame = next(frames, None)
                if frame is None:
                    return
                told = {"frame": frame.name, **clock.times(frame)}
                prediction = predictor(frame)
                failures = 0
            except EdgeError as error:
                failures += 1
                if on_error is None or failures >= MOST_FAILURES:
                    raise
                yield Event(kind="error", details={"message": str(error)}, **told)
                if not told:  # of the source
                    return
                continue
            told["prediction"] = prediction
            if results or on_result is not None:
                yield Event(kind="result", details=predictor.task.plain(prediction), **told)
            for name, watcher in watchers.items():
                for change in watcher.update(prediction, told["time_s"]):
                    yield Event(
                        kind="change",
                        rule=name,
                        state=change.state,
                        value=change.value,
                        details=change.details,
                        **told,
                    )

    def given() -> Iterator[Event]:
        with closing(capture):
            for event in events():
                call = callbacks[event.kind]
                if call is not None:
                    call(event)
                if event.kind != "result" or results:
                    yield event

    return given()


class _FrameClock:
    """When frames are, in seconds since the first."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._first_ns: int | None = None
        self._count = -1

    def times(self, frame: Frame) -> dict[str, Any]:
        """`time_s` and `utc` of an event."""
        self._count += 1
        if not self._capture.live:
            rate = None if self._capture.pictures else self._capture.frames_per_second
            return {"time_s": self._count / (rate or 1.0), "utc": None}
        if self._first_ns is None:
            self._first_ns = frame.captured_ns
        age = timedelta(microseconds=(time.monotonic_ns() - frame.captured_ns) / 1000)
        utc = (datetime.now(UTC) - age).isoformat(timespec="milliseconds")
        return {"time_s": (frame.captured_ns - self._first_ns) / 1e9, "utc": utc}
