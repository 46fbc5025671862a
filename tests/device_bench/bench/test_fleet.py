"""Several devices at once: each record is kept when it is there, a failed device stops no other one."""

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from device_bench.agent.readers import Readers
from device_bench.bench.fleet import Order, bench_fleet
from device_bench.jobs.job import Job
from device_bench.records.plan import Plan
from device_bench.records.record import Record
from device_bench.targets.in_process import InProcess
from device_bench.targets.target import Progress, Target
from edge.artifact.manifest import open_artifact
from edge.cli.bench_output import fail
from edge.errors import EngineError, FileError, Interrupted, UsageError

pytestmark = pytest.mark.unhurried

MakeArtifact = Callable[..., Path]


class Device(InProcess):
    """A named device in memory that counts its jobs, and fails when it is told to."""

    def __init__(self, name: str, opener: Any, readers: Readers, *, fails: bool = False) -> None:
        super().__init__(opener=opener, readers=readers)
        self.name, self._fails, self.jobs, self.closed = name, fails, 0, False

    def run(self, job: Job, progress: Progress | None = None) -> Mapping[str, Any]:
        self.jobs += 1
        if self._fails:
            raise EngineError(f"{self.name}: connection cut")
        return super().run(job, progress)

    def close(self) -> None:
        self.closed = True


def silent(target: Target) -> None:
    return None


@pytest.fixture
def order(make_artifact: MakeArtifact, quick: Plan) -> Order:
    return Order(opened=[open_artifact(make_artifact())], engines=["litert"], plan=quick, command="edge bench")


def test_a_failed_device_is_one_outcome_and_the_others_finish(order: Order, opener: Any, readers: Readers) -> None:
    devices = [Device("a", opener, readers), Device("b", opener, readers, fails=True), Device("c", opener, readers)]
    written: list[Record] = []
    outcomes = bench_fleet(devices, order, done=written.extend, progress=silent)
    assert [(outcome.target, len(outcome.records)) for outcome in outcomes] == [("a", 1), ("b", 0), ("c", 1)]
    assert str(outcomes[1].errors[0]) == "b: connection cut"
    assert sorted(record.target.name for record in written) == ["a", "c"]
    assert all(device.closed for device in devices)


def test_what_nobody_foresaw_of_one_device_stops_no_other(
    order: Order, opener: Any, readers: Readers, capsys: pytest.CaptureFixture[str]
) -> None:
    class Odd(Device):
        def run(self, job: Job, progress: Progress | None = None) -> Mapping[str, Any]:
            raise KeyError("subjects")

    written: list[Record] = []
    devices = [Odd("a", opener, readers), Device("b", opener, readers), Device("c", opener, readers, fails=True)]
    outcomes = bench_fleet(devices, order, done=written.extend, progress=silent)
    assert [record.target.name for record in written] == ["b"]
    assert isinstance(outcomes[0].errors[0], KeyError)
    with pytest.raises(KeyError):
        fail(outcomes)
    assert capsys.readouterr().err == "edge bench: c: connection cut\n"


def test_the_same_device_twice_is_refused(order: Order, opener: Any, readers: Readers) -> None:
    with pytest.raises(UsageError, match="--on a is named twice"):
        bench_fleet([Device("a", opener, readers)] * 2, order, done=print, progress=silent)


def test_what_was_measured_before_is_not_measured_again(order: Order, opener: Any, readers: Readers) -> None:
    written: list[Record] = []
    bench_fleet([Device("a", opener, readers)], order, done=written.extend, progress=silent)
    again = Order(
        opened=order.opened, engines=order.engines, plan=order.plan, command=order.command, held=tuple(written)
    )
    same, other = Device("a", opener, readers), Device("b", opener, readers)
    outcomes = bench_fleet([same, other], again, done=written.extend, progress=silent)
    assert (same.jobs, other.jobs) == (0, 1)
    assert outcomes[0].resumed and list(outcomes[0].records) == written[:1]
    changed = order.plan.model_copy(update={"threads": 2})
    longer = Order(opened=order.opened, engines=order.engines, plan=changed, command="", held=tuple(written))
    bench_fleet([same], longer, done=written.extend, progress=silent)
    assert same.jobs == 1


def test_records_that_cannot_be_kept_are_shown_all_the_same(order: Order, opener: Any, readers: Readers) -> None:
    def full(records: list[Record]) -> None:
        raise FileError("records.jsonl", "cannot be written: No space left on device")

    (outcome,) = bench_fleet([Device("a", opener, readers)], order, done=full, progress=silent)
    assert len(outcome.records) == 1 and "No space left" in str(outcome.errors[0])


class Endless(Device):
    """Measures until it is stopped; then the user loses patience, as soon as another device has finished."""

    def __init__(self, name: str, opener: Any, readers: Readers, written: list[Record], *, away: bool = False) -> None:
        super().__init__(name, opener, readers)
        self.stopped, self._written, self._away = threading.Event(), written, away

    def run(self, job: Job, progress: Progress | None = None) -> Mapping[str, Any]:
        while not self._written:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        assert self.stopped.wait(30)
        raise EngineError(f"{self.name}: interrupted")

    def stop(self) -> None:
        self.stopped.set()
        if self._away:
            raise EngineError(f"{self.name}: no answer; the job goes on there")


@pytest.mark.parametrize("away", [False, True])
def test_an_interrupt_stops_what_runs_and_keeps_what_has_finished(
    order: Order, opener: Any, readers: Readers, away: bool
) -> None:
    written: list[Record] = []
    quick, slow = Device("a", opener, readers), Endless("b", opener, readers, written, away=away)
    with pytest.raises(Interrupted) as caught:
        bench_fleet([quick, slow], order, done=written.extend, progress=silent)
    told = "interrupted; finished before: a" + ("; b: no answer; the job goes on there" if away else "")
    assert str(caught.value) == told
    assert [record.target.name for record in written] == ["a"] and slow.stopped.is_set() and slow.closed
