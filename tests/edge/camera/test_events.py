"""Events: what is given when, what errors do, and what is refused before the first frame."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.camera.crossings import Line
from edge.camera.events import MOST_FAILURES, Event, watch_events
from edge.camera.hysteresis import Thresholds
from edge.camera.rules import Area, Crossed, Rule, Score
from edge.errors import DataError, EngineError, UsageError
from edge.predictor.predictor import Predictor
from edge.vision.frame import Frame

MakeArtifact = Callable[..., Path]
ALWAYS = Score(labels=("class 0",), when=Thresholds(enter=0, leave=0))


class Film:
    """Frames in memory; `fails` is raised behind the last one."""

    live = pictures = timed = False
    frames_per_second: float | None = 4.0
    name = "memory"

    def __init__(self, frames: int, fails: DataError | None = None) -> None:
        self._frames, self._fails = frames, fails
        self.closed = False

    def frames(self) -> Iterator[Frame]:
        for index in range(self._frames):
            yield Frame(image=np.full((8, 8, 3), index, np.uint8), format="bgr", name=str(index))
        if self._fails is not None:
            raise self._fails

    def close(self) -> None:
        self.closed = True


class Camera(Film):
    """A live one."""

    live = True

    def frames(self) -> Iterator[Frame]:
        for index in range(3):
            yield Frame(image=np.zeros((8, 8, 3), np.uint8), format="bgr", captured_ns=5 * 10**9 + index * 10**8)


@pytest.fixture
def predictor(make_artifact: MakeArtifact) -> Predictor:
    return Predictor.load(make_artifact(), engine="null")


def test_results_and_changes_come_in_their_order_with_the_films_own_time(predictor: Predictor) -> None:
    called: list[Event] = []
    source = Film(3)
    events = list(
        watch_events(predictor, source, {"a": ALWAYS}, results=True, on_change=called.append, on_result=called.append)
    )
    assert [(event.kind, event.time_s) for event in events] == [
        ("result", 0.0),
        ("change", 0.0),
        ("result", 0.25),
        ("result", 0.5),
    ]
    assert called == events and source.closed
    plain = events[0].plain()
    assert (plain["kind"], plain["frame"], plain["utc"], plain["classes"][0]["name"]) == (
        "result",
        "0",
        None,
        "class 0",
    )
    assert events[1].plain() == {
        "kind": "change",
        "frame": "0",
        "time_s": 0.0,
        "utc": None,
        "rule": "a",
        "state": "on",
        "value": 0.5,
    }


def test_results_reach_their_callback_alone_unless_asked_for(predictor: Predictor) -> None:
    called: list[Event] = []
    assert [event.kind for event in watch_events(predictor, Film(3), {"a": ALWAYS}, on_result=called.append)] == [
        "change"
    ]
    assert [event.kind for event in called] == ["result"] * 3


def test_an_app_that_had_enough_closes_the_source(predictor: Predictor) -> None:
    source = Film(1000)
    events = watch_events(predictor, source, {}, results=True)
    next(events)
    events.close()  # type: ignore[attr-defined]
    assert source.closed


def test_a_source_that_fails_raises_or_is_the_last_event(predictor: Predictor) -> None:
    failing = DataError("memory", "is over")
    with pytest.raises(DataError, match="is over"):
        list(watch_events(predictor, Film(2, failing), {}))
    called: list[Event] = []
    events = list(watch_events(predictor, Film(2, failing), {"a": ALWAYS}, on_error=called.append))
    assert [event.kind for event in events] == ["change", "error"]
    assert called == events[1:] and called[0].plain()["message"] == "memory: is over"


class Sometimes:
    """A predictor that fails at some frames."""

    def __init__(self, predictor: Predictor, fails: Callable[[int], bool]) -> None:
        self.artifact, self.task = predictor.artifact, predictor.task
        self._predictor, self._fails, self._count = predictor, fails, 0

    def __call__(self, image: np.ndarray) -> object:
        self._count += 1
        if self._fails(self._count):
            raise EngineError("cannot")
        return self._predictor(image)


def test_frames_that_fail_are_left_out_until_all_do(predictor: Predictor) -> None:
    told: list[Event] = []
    odd = Sometimes(predictor, lambda count: count % 2 == 1)
    events = list(watch_events(odd, Film(6), {"a": ALWAYS}, results=True, on_error=told.append))  # type: ignore[arg-type]
    assert [event.kind for event in events] == ["error", "result", "change"] + ["error", "result"] * 2
    assert [event.frame for event in told] == ["0", "2", "4"]
    told.clear()
    never = Sometimes(predictor, lambda count: True)
    with pytest.raises(EngineError, match="cannot"):
        list(watch_events(never, Film(50), {}, on_error=told.append))  # type: ignore[arg-type]
    assert len(told) == MOST_FAILURES - 1


def test_a_cameras_time_is_that_of_its_frames(predictor: Predictor) -> None:
    """The newest frame is taken, so that some may be passed over; a camera never ends, and is left."""
    times = []
    for event in watch_events(predictor, Camera(3), {}, results=True):
        times.append(event.time_s)
        assert event.utc is not None and event.utc.endswith("+00:00")
        break
    assert times == [0.0]


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (
            Area(classes=("class 0",), when=ALWAYS.when),
            "a rule for a model that can segment, and this one can classify",
        ),
        (Crossed(line=Line((0, 0), (1, 1))), "a rule for a model that can detect"),
        (Score(labels=("class 9",), when=ALWAYS.when), "unknown class 'class 9'; did you mean 'class"),
    ],
)
def test_a_rule_that_the_model_cannot_follow_is_refused_before_the_first_frame(
    predictor: Predictor, rule: Rule, told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        watch_events(predictor, Film(1), {"a": rule})
