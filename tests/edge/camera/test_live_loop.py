"""The stages of a live source: the newest frame wins, whoever is slow delays nobody, and everything is counted."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.camera.capture import Capture
from edge.camera.inference import MOST_REPLACEMENTS, Seen
from edge.camera.loop import LoopOptions, watch
from edge.camera.reporter import Reporter
from edge.camera.run_counts import RunCounts, State
from edge.camera.sink_stage import Hung
from edge.camera.sources.host import HostSource
from edge.camera.sources.source import Source
from edge.camera.systemd import Notifier
from edge.errors import DataError, EngineError, FileError, UsageError
from edge.predictor.predictor import Predictor
from edge.vision.frame import Frame
from tests.support.camera_fakes import PATIENCE_S, GivenFrames, HeldSession, Numbered, held, until
from tests.support.numbered_frames import number_of, numbered

Make = Callable[..., Path]
Held = tuple[Predictor, HeldSession]
Opened = Callable[[Source], Capture]
SECOND = 1_000_000_000


def balanced(state: State) -> bool:
    """Frames in = answered + dropped."""
    return state.frames == state.answered + sum(state.dropped.values())


class SlowSink:
    """Takes a frame when the test lets it."""

    def __init__(self) -> None:
        self.leave = threading.Semaphore(0)
        self.begun: list[str] = []
        self.written: list[str] = []

    def write(self, image: np.ndarray, name: str) -> bool:
        self.begun.append(name)
        self.leave.acquire()
        self.written.append(name)
        return True


class Clock:
    """A clock that a test sets; the loop's own pace does not depend on it."""

    def __init__(self) -> None:
        self.now_ns = SECOND

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def model(make_artifact: Make) -> Held:
    return held(make_artifact())


@pytest.fixture
def opened() -> Iterator[Opened]:
    with ExitStack() as stack:
        yield lambda source: stack.enter_context(Capture(source))


def begun(answers: Iterator[Seen], into: list[Seen]) -> threading.Thread:
    """Iterate in a thread, so that the stages run while the test steps them."""
    thread = threading.Thread(target=lambda: into.extend(answers), daemon=True)
    thread.start()
    return thread


def test_the_newest_frame_is_predicted_and_those_it_passed_are_counted(model: Held, opened: Opened) -> None:
    predictor, session = model
    camera, counts, found = GivenFrames(), RunCounts(), []
    thread = begun(watch(predictor, opened(camera), reporter=Reporter(run=counts)), found)
    camera.give()
    until(lambda: session.running == 1)
    camera.give(4)
    until(lambda: counts.state().frames == 5)
    session.let()
    until(lambda: len(found) == 1)
    session.let()
    until(lambda: len(found) == 2)
    camera.end()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert [seen.name for seen in found] == ["0", "4"] and [seen.index for seen in found] == [0, 1]
    state = counts.state()
    assert (state.frames, state.answered, state.dropped) == (5, 2, {"overwritten": 3})


def test_a_slow_sink_delays_no_answer(model: Held, opened: Opened) -> None:
    predictor, session = model
    camera, counts, sink, found = GivenFrames(), RunCounts(), SlowSink(), []
    session.let(10)
    thread = begun(watch(predictor, opened(camera), [sink], reporter=Reporter(run=counts)), found)
    for number in range(1, 5):
        camera.give()
        until(lambda number=number: len(found) == number)
        until(lambda: len(sink.begun) == 1)
    assert sink.written == []  # the first frame is still being written, and four are answered
    sink.leave.release(10)
    until(lambda: sink.written == ["0", "3"])
    camera.end()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert counts.state().undelivered == {"sink": 2} and balanced(counts.state())
    assert {row.stage for row in counts.summary()} >= {"draw", "write", "total"}


def test_a_slow_consumer_gets_the_newest_answer(model: Held, opened: Opened) -> None:
    predictor, session = model
    camera, counts = GivenFrames(), RunCounts()
    session.let(10)
    with closing(watch(predictor, opened(camera), reporter=Reporter(run=counts))) as answers:
        camera.give()
        assert next(answers).name == "0"
        for number in range(2, 6):
            camera.give()
            until(lambda number=number: counts.state().answered == number)
        assert next(answers).name == "4"
    assert counts.state().undelivered == {"consumer": 3} and balanced(counts.state())


def test_a_frame_that_cannot_hold_the_budget_is_passed_over(model: Held, opened: Opened) -> None:
    """One that the model waited for is answered, however old it is."""
    predictor, session = model
    camera, counts, found = GivenFrames(), RunCounts(), []
    options = LoopOptions(latency_budget_ns=SECOND)
    thread = begun(watch(predictor, opened(camera), reporter=Reporter(run=counts), options=options), found)
    camera.give()
    until(lambda: session.running == 1)
    camera.give(age_ns=2 * SECOND)
    until(lambda: counts.state().frames == 2)
    session.let(1000)
    until(lambda: counts.state().dropped == {"budget": 1})

    def given() -> bool:
        camera.give(age_ns=2 * SECOND)
        return len(found) > 1

    until(given)
    camera.end()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert found[0].name == "0" and all(seen.age_ns > 2 * SECOND for seen in found[1:])
    state = counts.state()
    assert state.over_budget == state.answered - 1 and balanced(state)


def test_a_budget_for_a_film_is_refused(model: Held, opened: Opened) -> None:
    with pytest.raises(UsageError, match="--latency-budget is for cameras"):
        next(watch(model[0], opened(Numbered(3)), options=LoopOptions(latency_budget_ns=1)))


def test_a_film_is_complete_and_in_order_however_slow_the_consumer_is(model: Held, opened: Opened) -> None:
    predictor, session = model
    session.let(100)
    counts = RunCounts()
    answers = watch(predictor, opened(Numbered(100)), reporter=Reporter(run=counts))
    first = next(answers)
    until(lambda: counts.state().answered == 3)  # told, handed over, and waiting to be
    assert counts.state().frames <= 6
    assert [seen.index for seen in (first, *answers)] == list(range(100))
    assert counts.state().dropped == counts.state().undelivered == {} and counts.state().answered == 100


class Replacing:
    """Makes predictors whose sessions are held, and keeps them."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self.made: list[tuple[Predictor, HeldSession]] = []
        self.first = self()

    def __call__(self) -> Predictor:
        self.made.append(held(self._make(f"made{len(self.made)}")))
        return self.made[-1][0]


def test_a_prediction_that_hangs_is_dropped_and_its_worker_replaced(make_artifact: Make, opened: Opened) -> None:
    replacing, clock = Replacing(make_artifact), Clock()
    camera, counts, found = GivenFrames(), RunCounts(), []
    options = LoopOptions(stall_after_ns=10 * SECOND)
    thread = begun(
        watch(
            replacing.first,
            opened(camera),
            options=options,
            load=replacing,
            reporter=Reporter(run=counts),
            clock=clock,
        ),
        found,
    )
    camera.give()
    until(lambda: replacing.made[0][1].running == 1)
    clock.now_ns += 11 * SECOND
    until(lambda: len(replacing.made) == 2)
    replacing.made[1][1].let(1)
    camera.give()
    until(lambda: len(found) == 1)
    replacing.made[0][1].let()  # it comes back after all: its answer counts no more, and it closes its session
    until(lambda: replacing.made[0][1].closed)
    camera.end()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    state = counts.state()
    assert [seen.name for seen in found] == ["1"]
    assert state.replacements == 1 and state.dropped == {"stalled": 1} and balanced(state)
    assert replacing.made[1][1].closed


def test_a_film_loses_nothing_to_a_prediction_that_hangs(make_artifact: Make, opened: Opened) -> None:
    replacing, clock = Replacing(make_artifact), Clock()
    counts, found = RunCounts(), []
    options = LoopOptions(stall_after_ns=10 * SECOND)
    replacing.made[0][1].let(2)
    answers = watch(
        replacing.first,
        opened(Numbered(5)),
        options=options,
        load=replacing,
        reporter=Reporter(run=counts),
        clock=clock,
    )
    thread = begun(answers, found)
    until(lambda: replacing.made[0][1].running == 3)
    clock.now_ns += 11 * SECOND
    until(lambda: len(replacing.made) == 2)
    replacing.made[1][1].let(10)
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert [seen.index for seen in found] == list(range(5))
    assert counts.state().replacements == 1 and counts.state().dropped == {}
    replacing.made[0][1].let()


@pytest.mark.unhurried
def test_a_model_that_always_hangs_ends_the_run_after_so_many_workers(make_artifact: Make, opened: Opened) -> None:
    replacing, clock, failures = Replacing(make_artifact), Clock(), []
    camera, counts = GivenFrames(), RunCounts()
    options = LoopOptions(stall_after_ns=10 * SECOND)
    answers = watch(
        replacing.first, opened(camera), options=options, load=replacing, reporter=Reporter(run=counts), clock=clock
    )

    def run() -> None:
        with pytest.raises(EngineError) as caught:
            next(answers)
        failures.append(str(caught.value))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    for worker in range(MOST_REPLACEMENTS + 1):
        until(lambda worker=worker: len(replacing.made) == worker + 1)
        camera.give()
        until(lambda worker=worker: replacing.made[worker][1].running == 1)
        clock.now_ns += 12 * SECOND
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert failures == ["the model has not answered for 12.0 s, after 3 replaced workers: start the program anew"]
    assert counts.state().replacements == MOST_REPLACEMENTS and balanced(counts.state())
    for _, session in replacing.made:
        session.let()


@pytest.mark.unhurried
def test_a_sink_that_hangs_ends_the_run(model: Held, opened: Opened) -> None:
    predictor, session = model
    camera, clock, sink = GivenFrames(), Clock(), SlowSink()
    session.let(10)
    options = LoopOptions(stall_after_ns=10 * SECOND)
    answers = watch(predictor, opened(camera), [sink], options=options, clock=clock)
    camera.give()
    assert next(answers).name == "0"
    until(lambda: sink.begun == ["0"])
    clock.now_ns += 11 * SECOND
    with pytest.raises(Hung, match=r"has not taken (a frame for 11|its last frame)"):
        next(answers)
    sink.leave.release()


def test_what_a_stage_meets_ends_the_run_after_the_answers_before_it(model: Held, opened: Opened) -> None:
    predictor, session = model
    session.let(10)

    class Damaged(Numbered):
        def frames(self) -> Iterator[Frame]:
            yield from super().frames()
            raise DataError("film", "is damaged")

    answers = watch(predictor, opened(Damaged(1)))
    assert next(answers).name == "0"
    with pytest.raises(DataError, match="film: is damaged"):
        next(answers)

    class Refusing(SlowSink):
        def write(self, image: np.ndarray, name: str) -> bool:
            raise DataError(name, "is of another size")

    camera = GivenFrames()
    answers = watch(predictor, opened(camera), [Refusing()])
    camera.give()
    with pytest.raises(DataError, match="is of another size"):
        list(answers)


def test_what_the_last_answer_meets_when_it_is_written_is_raised(model: Held, opened: Opened) -> None:
    """The answer was given before, and its iteration is over."""
    predictor, session = model
    session.let(10)
    camera, leave = GivenFrames(), threading.Event()

    class Full:
        def write(self, image: np.ndarray, name: str) -> bool:
            leave.wait(PATIENCE_S)
            raise FileError("out", "cannot be written: No space left on device")

    answers = watch(predictor, opened(camera), [Full()], options=LoopOptions(frames=1))
    camera.give()
    assert next(answers).name == "0"
    leave.set()
    until(lambda: all(thread.name != "edge-sinks" for thread in threading.enumerate()))
    with pytest.raises(FileError, match="No space left"):
        next(answers)


def test_a_capture_that_is_closed_elsewhere_ends_the_run(model: Held, opened: Opened) -> None:
    predictor, session = model
    session.let(10)
    camera = GivenFrames()
    capture = opened(camera)
    answers = watch(predictor, capture)
    camera.give()
    assert next(answers).name == "0"
    threading.Timer(0.05, capture.close).start()
    assert list(answers) == []


@pytest.mark.unhurried
def test_an_end_that_is_asked_for_waits_for_no_camera_and_no_model(model: Held, opened: Opened) -> None:
    """The camera gives nothing, and the model hangs."""
    predictor, session = model
    camera, counts = GivenFrames(), RunCounts()
    asked, found = threading.Event(), []
    thread = begun(watch(predictor, opened(camera), ended=asked.is_set, reporter=Reporter(run=counts)), found)
    camera.give()
    until(lambda: session.running == 1)
    camera.give()
    until(lambda: counts.state().frames == 2)
    asked.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert found == [] and counts.state().dropped == {"ended": 1}
    session.let(2)
    assert predictor(np.zeros((8, 8, 3), np.uint8)).times.total_ns > 0  # it is still its caller's


def test_the_service_manager_hears_of_answers_that_were_given(model: Held, opened: Opened) -> None:
    class Recording(Notifier):
        def __init__(self) -> None:
            super().__init__({})
            self.told: list[str] = []

        def answered(self, status: Callable[[], str]) -> None:
            self.told.append(status())

    predictor, session = model
    camera, notifier, found = GivenFrames(), Recording(), []
    thread = begun(watch(predictor, opened(camera), reporter=Reporter(notifier=notifier)), found)
    camera.give()
    until(lambda: session.running == 1)
    assert notifier.told == []
    session.let()
    until(lambda: len(found) == 1)
    assert notifier.told == ["1 of 1 frames answered, 0 dropped, 0 restarts"]
    camera.end()
    thread.join(PATIENCE_S)


@pytest.mark.slow
def test_a_model_at_a_fifth_of_the_speed_answers_the_newest_frame(make_artifact: Make, opened: Opened) -> None:
    """Numbers drawn in pixels: at 99 of 100 answers no older than a frame's period, as it really was, and the model."""
    period_s = 0.02

    class Slow(HeldSession):
        def _compute(self, model: Any, inputs: Any) -> list[Any]:
            time.sleep(5 * period_s)
            self.let()
            return super()._compute(model, inputs)

    predictor, _ = held(make_artifact(), Slow)
    source, counts, found, pushed_ns = HostSource(), RunCounts(), [], []
    thread = begun(watch(predictor, opened(source), reporter=Reporter(run=counts)), found)
    for number in range(1000):
        source.push(numbered(number))
        pushed_ns.append(time.monotonic_ns())
        time.sleep(period_s)
    source.end()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    state = counts.state()
    assert state.frames == 1000 and balanced(state) and state.undelivered == {}
    assert [number_of(seen.frame.image) for seen in found] == [int(seen.name) for seen in found]
    period_ns = max(after - before for before, after in pairwise(pushed_ns))
    late = [seen for seen in found if seen.age_ns > period_ns + seen.prediction.times.total_ns]
    assert len(found) > 100 and len(late) <= len(found) // 100
