"""A target's answer is distrusted: what does not hold is refused in one line, and what holds becomes records."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from device_bench.agent.loop import Subject, loop_plan, measure
from device_bench.agent.readers import Readers
from device_bench.bench.bench import plan_job
from device_bench.bench.collect import PortSeen, records
from device_bench.jobs.job import Job
from device_bench.records.plan import Plan
from device_bench.targets.in_process import InProcess
from edge.artifact.manifest import open_artifact
from edge.errors import EngineError
from edge.port import Port

pytestmark = pytest.mark.unhurried

MakeArtifact = Callable[..., Path]
MISSING = object()


@pytest.fixture
def asked(
    make_artifact: MakeArtifact, quick: Plan, opener: Any, readers: Readers
) -> tuple[Job, dict[str, Any], InProcess]:
    """A job with end-to-end stages, its answer, and the target."""
    target = InProcess(opener=opener, readers=readers)
    plan = quick.model_copy(update={"end_to_end": True})
    job = plan_job([open_artifact(make_artifact())], ["litert"], plan, target)
    return job, json.loads(json.dumps(target.run(job))), target


def test_an_answer_tells_every_field_of_a_port_and_no_other() -> None:
    assert list(PortSeen.model_json_schema()["required"]) == list(Port.__dataclass_fields__)


def changed(reply: dict[str, Any], where: str, value: Any) -> dict[str, Any]:
    """The answer with one value replaced, or taken away."""
    *path, last = [int(part) if part.isdecimal() else part for part in where.split(".")]
    place: Any = reply
    for part in path:
        place = place[part]
    if value is MISSING:
        del place[last]
    else:
        place[last] = value
    return reply


def test_an_answer_that_holds_becomes_one_record_per_subject(asked: tuple[Job, dict[str, Any], InProcess]) -> None:
    job, reply, target = asked
    (record,) = records(job, reply, target, command="edge bench")
    assert (record.run_id, record.target.name, record.position) == (job.id, "local", (0, 1))
    assert record.selftest is not None and record.selftest.samples == 2
    assert record.end_to_end is not None and record.end_to_end.frame_hw == (720, 1280)
    assert record.cold.load_ns > 0 and record.warmup.runs >= 1


@pytest.mark.parametrize(
    ("where", "value", "problem"),
    [
        ("machine.cores", "four", "machine.cores"),
        ("machine", MISSING, "machine"),
        ("job_version", 2, "job_version"),
        ("states", [], "states"),
        ("extra", 1, "extra"),
        ("subjects", [], "0 subjects, the job 1"),
        ("subjects.0.samples_ns", MISSING, "samples_ns"),
        ("subjects.0.samples_ns", [], "no samples"),
        ("subjects.0.samples_ns", [1, 2, 3], "3 samples of 6 ns in all; the plan asks for 4"),
        ("subjects.0.samples_ns", [1] * 20_001, "20001 samples"),
        ("subjects.0.samples_ns", [1, 2, 3, 4.5], "samples_ns"),
        ("subjects.0.samples_ns", [1, 2, 3, -4], "samples_ns"),
        ("subjects.0.samples_ns", "1 2 3 4", "samples_ns"),
        ("subjects.0.info.engine", "onnxruntime", "litert was asked for, onnxruntime answered"),
        ("subjects.0.info.kernels", "\x1b[2Jxnnpack", "holds the text"),
        ("subjects.0.info.version", "9" * 5000, "holds the text"),
        ("subjects.0.inputs", [], "knows no input"),
        ("subjects.0.selftest", None, "the self-test was asked for"),
        ("subjects.0.selftest.allowed", 9.0, "0 allowed"),
        ("subjects.0.selftest.samples", 1, "it must be 2"),
        ("subjects.0.selftest.largest", 1.0, "differs by 1"),
        ("subjects.0.selftest.largest", float("nan"), "largest: Input should be a finite number"),
        ("subjects.0.transfers", {"to_device_ns": [1], "to_host_ns": [1]}, "not one per sample"),
        ("subjects.0.end_to_end", None, "end-to-end stages were asked for"),
        ("subjects.0.end_to_end.stages.decode", [1], "equally long"),
        ("subjects.0.end_to_end.stages.sleep", [1], "stages are not"),
        ("subjects.0.memory", json.loads('{"a":' * 12 + "1" + "}" * 12), "nested deeper"),
    ],
)
def test_an_answer_that_does_not_hold_is_refused_in_one_line(
    asked: tuple[Job, dict[str, Any], InProcess], where: str, value: Any, problem: str
) -> None:
    job, reply, target = asked
    with pytest.raises(EngineError) as caught:
        records(job, changed(reply, where, value), target, command="")
    message = str(caught.value)
    assert problem in message and message.startswith("local") and message.isprintable()


@pytest.mark.parametrize("seed", range(40))
def test_what_the_loop_takes_is_what_is_accepted_however_its_rounds_end(
    asked: tuple[Job, dict[str, Any], InProcess], seed: int
) -> None:
    """Models whose rounds end now by their runs, now by their time."""
    chance = random.Random(seed)
    rounds, most = chance.randint(1, 5), chance.randint(1, 40)
    plan = Plan(
        rounds=rounds,
        min_runs=chance.randint(1, most),
        max_runs=most,
        min_duration_ns=chance.randint(0, 120 * most),
        warmup_runs=1,
        warmup_duration_ns=0,
    )
    pace = [chance.choice((60, 100, 140)) for _ in range(rounds)]
    now_ns = number = 0

    def query() -> None:
        nonlocal now_ns, number
        now_ns += pace[min(number // (1 + most // rounds), rounds - 1)] + chance.randint(0, 20)
        number += 1

    (taken,) = measure(
        [Subject(query=query)], loop_plan(plan.model_dump()), stable=lambda seen: True, clock=lambda: now_ns
    )
    job, reply, target = asked
    reply["subjects"][0] |= {"samples_ns": taken.samples_ns, "end_to_end": None}
    document = {**job.document, "plan": plan.model_dump(mode="json")}
    planned = Job(document=document, files=job.files, subjects=job.subjects, plan=plan)
    (record,) = records(planned, reply, target, command="")
    assert record.samples_ns == tuple(taken.samples_ns)
    reply["subjects"][0]["samples_ns"] = taken.samples_ns[:-1]
    with pytest.raises(EngineError, match="samples"):
        records(planned, reply, target, command="")


def test_samples_that_end_before_the_least_duration_are_refused(
    asked: tuple[Job, dict[str, Any], InProcess],
) -> None:
    job, reply, target = asked
    longer = Job(
        document=job.document,
        files=job.files,
        subjects=job.subjects,
        plan=job.plan.model_copy(update={"min_duration_ns": 10**15}),
    )
    with pytest.raises(EngineError, match="1000000000000000 ns"):
        records(longer, reply, target, command="")
