"""A job run in process: scenarios, cold times, memory, stages that give the Predictor's answers, clear refusals."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from device_bench.agent.readers import Readers
from device_bench.agent.resident import PeakMemory, resident_bytes
from device_bench.agent.run_job import run_job
from device_bench.agent.stages import stages
from device_bench.bench.bench import bench, measure_job, plan_job
from device_bench.bench.remarks import remarks
from device_bench.jobs.job import make_job
from device_bench.jobs.subjects import make_subjects
from device_bench.records.plan import Plan
from device_bench.targets.in_process import InProcess
from edge.artifact.manifest import open_artifact
from edge.engines.null_session import NullSession
from edge.errors import EngineError
from edge.port import Port
from edge.predictor.predictor import Predictor

pytestmark = pytest.mark.unhurried

MakeArtifact = Callable[..., Path]


def fed(made: Port, readers: Readers, path: Path, quick: Plan) -> tuple[Any, npt.NDArray[Any]]:
    """The record of a file with one such input, and what it was fed."""
    seen: list[npt.NDArray[Any]] = []

    class Listening(NullSession):
        info = property(lambda self: replace(NullSession.info.fget(self), engine="onnxruntime"))

        def run(self, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
            seen.append(inputs[0])
            return []

    def opened(engine: str, path: Path, *, threads: int, kernels: str | None) -> NullSession:
        return Listening(inputs=(made,), outputs=())

    path.write_bytes(b"any")
    (record,) = bench([path], ["onnxruntime"], quick, InProcess(opener=opened, readers=readers), command="")
    return record, seen[0]


@pytest.mark.parametrize(
    ("dtype", "scale", "values"),
    [
        ("int32", None, "0 and 1"),
        ("int64", None, "0 and 1"),
        ("int16", None, "0 and 1"),
        ("int16", 0.5, "random"),
        ("uint8", None, "random"),
        ("float32", None, "random"),
        ("complex64", None, "random"),
    ],
)
def test_integers_without_a_scale_are_fed_as_indices_and_the_record_says_so(
    readers: Readers, tmp_path: Path, quick: Plan, dtype: str, scale: float | None, values: str
) -> None:
    zero_point = None if scale is None else 0
    port = Port(name="ids", shape=(50,), dtype=dtype, scale=scale, zero_point=zero_point)
    record, array = fed(port, readers, tmp_path / "m.onnx", quick)
    assert [(entry.name, entry.shape, entry.dtype, entry.values) for entry in record.inputs] == [
        ("ids", (50,), dtype, values)
    ]
    assert (set(array.tolist()) == {0, 1}) == (values == "0 and 1")
    assert any("was fed 0 and 1 in ids" in line for line in remarks([record])) == (values == "0 and 1")


def test_an_input_of_text_is_refused_by_its_name(readers: Readers, tmp_path: Path, quick: Plan) -> None:
    with pytest.raises(EngineError, match=r"m\.onnx: input 'ids' holds bytes, not numbers"):
        fed(Port(name="ids", shape=(5,), dtype="bytes"), readers, tmp_path / "m.onnx", quick)


def test_a_subject_that_fails_costs_the_others_nothing(
    make_artifact: MakeArtifact, quick: Plan, opener: Any, readers: Readers, tmp_path: Path
) -> None:
    """One is refused when it is loaded, one fails in its second round; both are named as the user named them."""

    class Failing(NullSession):
        info = property(lambda self: opener("litert", Path(), threads=1, kernels=None).info)
        calls = 0

        def prepared(self, inputs: Sequence[npt.NDArray[Any]]) -> Callable[[], list[npt.NDArray[Any]]]:
            def run() -> list[npt.NDArray[Any]]:
                self.calls += 1
                if self.calls > 5:
                    raise RuntimeError("gather index out of bounds")
                return self.run(inputs)

            return run

    def opened(engine: str, path: Path, *, threads: int, kernels: str | None) -> NullSession:
        plain = opener(engine, path, threads=threads, kernels=kernels)
        if path.read_bytes() == b"refused":
            raise EngineError(f"litert: {path}: refused by the runtime")
        failing = path.read_bytes() == b"failing"
        return Failing(inputs=plain.inputs, outputs=plain.outputs) if failing else plain

    paths = [tmp_path / f"{name}.tflite" for name in ("refused", "failing", "good")]
    for path in paths:
        path.write_bytes(path.stem.encode())
    target = InProcess(opener=opened, readers=readers)
    job = plan_job(paths, ["litert"], quick, target)
    found = measure_job(job, target, "")
    assert [(record.measured.name, record.position) for record in found.records] == [("good", (2, 3))]
    assert [str(error) for error in found.errors] == [
        f"local: litert: {paths[0]}: refused by the runtime",
        f"local: {paths[1]}: gather index out of bounds",
    ]
    with pytest.raises(EngineError, match="gather index out of bounds"):
        bench([paths[1]], ["litert"], quick, target, command="")


@pytest.mark.parametrize(
    ("changes", "runs"),
    [({}, 1), ({"scenario": "multi-stream", "streams": 3}, 3), ({"scenario": "offline", "samples": 8}, 8)],
)
def test_a_query_is_as_many_inferences_as_the_scenario_says(
    make_artifact: MakeArtifact, quick: Plan, opener: Any, readers: Readers, changes: dict[str, Any], runs: int
) -> None:
    calls: list[int] = []

    class Counting(NullSession):
        def prepared(self, inputs: Sequence[npt.NDArray[Any]]) -> Callable[[], list[npt.NDArray[Any]]]:
            def run() -> list[npt.NDArray[Any]]:
                calls.append(1)
                return self.run(inputs)

            return run

        info = property(lambda self: opener("litert", Path(), threads=1, kernels=None).info)

    def open_counting(engine: str, path: Path, *, threads: int, kernels: str | None) -> NullSession:
        plain = opener(engine, path, threads=threads, kernels=kernels)
        return Counting(inputs=plain.inputs, outputs=plain.outputs)

    plan = Plan.model_validate({**quick.model_dump(), **changes})
    target = InProcess(opener=open_counting, readers=readers)
    (record,) = bench([open_artifact(make_artifact())], ["litert"], plan, target, command="")
    # one query of warm-up, and per round one unmeasured and two measured ones
    assert len(calls) == (1 + 2 * 3) * runs
    assert (len(record.samples_ns), record.samples_per_query) == (4, runs)
    if runs == 1:
        assert record.throughput_per_s is None
    else:
        assert record.throughput_per_s == pytest.approx(4 * runs * 1e9 / sum(record.samples_ns))


def test_subjects_take_turns_in_one_job(
    make_artifact: MakeArtifact, quick: Plan, opener: Any, readers: Readers
) -> None:
    folders = [make_artifact("a"), make_artifact("b")]
    target = InProcess(opener=opener, readers=readers)
    found = bench([open_artifact(folder) for folder in folders], ["litert", "null"], quick, target, command="")
    assert [(record.measured.name, record.engine.engine) for record in found] == [
        ("a", "litert"),
        ("a", "null"),
        ("b", "litert"),
        ("b", "null"),
    ]
    assert [record.position for record in found] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert len({record.run_id for record in found}) == 1


def test_the_stages_hand_the_model_what_a_predictor_hands_it(make_artifact: MakeArtifact, quick: Plan) -> None:
    """The same raw input from the same picture, and one time per stage."""
    artifact = open_artifact(make_artifact())
    plan = quick.model_copy(update={"end_to_end": True})
    job = make_job(make_subjects([artifact], ["litert"], plan, ()), plan)
    spec = job.document["subjects"][0]["end_to_end"]
    rng = np.random.default_rng(5)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (60, 90, 3), dtype=np.uint8), (5, 5), 0)
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    seen: list[npt.NDArray[Any]] = []

    class Keeping(NullSession):
        def run(self, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
            seen.append(inputs[0].copy())
            return super().run(inputs)

    predictor = Predictor.load(artifact, engine="null", selftest=False)
    keeping = Keeping(inputs=predictor._session.inputs, outputs=predictor._session.outputs)
    ticks = iter(range(0, 100_000, 7))
    prepared = stages(spec, jpeg, keeping, lambda: next(ticks))
    assert prepared.frame_hw == (60, 90)
    assert prepared.run() == (7, 7, 7, 7, 7)
    Predictor(artifact, artifact.manifest.files[0], keeping)(cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1))
    np.testing.assert_array_equal(seen[0], seen[1])
    with pytest.raises(EngineError, match="does not decode"):
        stages(spec, b"\xff\xd8 no picture", keeping, lambda: 0)


def test_an_older_or_newer_job_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="a job of version 7; this agent runs version 1"):
        run_job({"job_version": 7}, tmp_path)


ONE_OF_TWO = """
import os
from device_bench.agent.run_job import _bind
from edge.errors import EngineError
there = min(os.sched_getaffinity(0))
for asked in ([4000], [there, 4000], [there, 900]):
    try:
        _bind(asked)
    except EngineError as error:
        print(error)
"""


def test_processors_that_are_not_there_are_refused_with_those_that_are() -> None:
    """Also where only one of them is missing, which the system drops in silence. In a process of its own."""
    done = subprocess.run([sys.executable, "-c", ONE_OF_TWO], capture_output=True, text=True, check=True)
    told = done.stdout.splitlines()
    assert len(told) == 3, done.stdout
    assert told[0].startswith("cannot be bound to the processors 4000; usable here: ")
    assert ",4000; usable here: " in told[1] and ",900; usable here: " in told[2]


TWO_MODELS = """
import numpy as np
from device_bench.agent.resident import PeakMemory
first = PeakMemory(first=True, emulated=False)
held = np.ones(64 << 20, np.uint8)
told = first.fields()
del held
later = PeakMemory(first=False, emulated=False).fields()
print(told["rss_before_bytes"], told["peak_rss_bytes"], later["peak_rss_bytes"])
"""


def test_the_peak_of_one_model_is_told_apart_from_that_of_the_one_before() -> None:
    """In a process of its own: a long-lived one may keep freed memory."""
    if resident_bytes("VmHWM") is None:
        pytest.skip("this system does not say what is resident")
    done = subprocess.run([sys.executable, "-c", TWO_MODELS], capture_output=True, text=True, check=True)
    before, peak, later = done.stdout.split()
    size = 64 << 20
    assert int(peak) - int(before) > size * 0.9
    assert later == "None" or int(later) < int(peak) - size // 2
    assert PeakMemory(first=True, emulated=True).fields()["peak_rss_bytes"] is None
