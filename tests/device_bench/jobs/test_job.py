"""A job holds everything that a device needs, and the same request is the same job."""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from device_bench.jobs.job import make_job
from device_bench.jobs.subjects import make_subjects, open_subject
from device_bench.records.plan import Plan
from edge.artifact.manifest import open_artifact
from edge.errors import ArtifactError, EngineError, ModelFileError, UsageError

MakeArtifact = Callable[..., Path]


def test_the_same_request_is_the_same_job_and_another_is_another(make_artifact: MakeArtifact, quick: Plan) -> None:
    artifact = open_artifact(make_artifact())

    def job_id(engine: str, plan: Plan) -> str:
        return make_job(make_subjects([artifact], [engine], plan, ()), plan).id

    first = job_id("litert", quick)
    assert job_id("litert", quick) == first
    assert job_id("litert", quick.model_copy(update={"threads": 2})) != first
    assert job_id("litert:builtin", quick) != first


def test_every_file_is_named_by_its_hash_and_the_document_is_json(make_artifact: MakeArtifact, quick: Plan) -> None:
    plan = quick.model_copy(update={"end_to_end": True})
    job = make_job(make_subjects([open_artifact(make_artifact())], ["litert"], plan, ()), plan)
    contents = dict(job.contents())
    assert sorted(name.split(".")[1] for name in contents) == ["jpg", "npz", "tflite"]
    assert all(hashlib.sha256(data).hexdigest() == name.split(".")[0] for name, data in contents.items())
    assert json.loads(json.dumps(job.document)) == job.document


def test_the_self_test_travels_as_raw_inputs_and_expected_outputs(make_artifact: MakeArtifact, quick: Plan) -> None:
    job = make_job(make_subjects([open_artifact(make_artifact())], ["litert"], quick, ()), quick)
    data = next(data for name, data in job.contents() if name.endswith(".npz"))
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        assert {name: (archive[name].dtype.name, archive[name].shape) for name in archive.files} == {
            "input_0": ("int8", (2, 8, 8, 3)),
            "expected_0": ("int8", (2, 3)),
        }


def test_the_picture_of_the_stages_is_a_photograph_sized_jpeg(make_artifact: MakeArtifact, quick: Plan) -> None:
    plan = quick.model_copy(update={"end_to_end": True})
    job = make_job(make_subjects([open_artifact(make_artifact())], ["litert"], plan, ()), plan)
    data = next(data for name, data in job.contents() if name.endswith(".jpg"))
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (720, 1280, 3)


def test_a_bare_file_has_no_self_test_and_says_why_there_are_no_stages(tmp_path: Path, quick: Plan) -> None:
    path = tmp_path / "official.tflite"
    path.write_bytes(b"0000TFL3")
    plan = quick.model_copy(update={"end_to_end": True})
    subjects = make_subjects([open_subject(path)], [], plan, ("onnxruntime", "litert"))
    (described,) = make_job(subjects, plan).document["subjects"]
    assert (described["engine"], described["inputs_sha256"]) == ("litert", None)
    assert "does not say how a picture becomes its input" in described["end_to_end"]["missing"]
    assert subjects[0].measured.manifest_sha256 is None and subjects[0].measured.multiply_adds is None


def test_what_no_engine_there_can_run_is_refused(tmp_path: Path, make_artifact: MakeArtifact, quick: Plan) -> None:
    artifact = open_artifact(make_artifact())
    with pytest.raises(EngineError, match=r"no engine there runs its tflite file \(installed: onnxruntime\)"):
        make_subjects([artifact], [], quick, ("onnxruntime",))
    path = tmp_path / "official.tflite"
    path.write_bytes(b"0000TFL3")
    with pytest.raises(EngineError, match="onnxruntime reads onnx files"):
        make_subjects([path], ["onnxruntime"], quick, ())
    with pytest.raises(UsageError, match="a bare file has none"):
        make_subjects([path], ["null"], quick, ())


def test_other_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such artifact folder or model file"):
        open_subject(tmp_path / "absent")
    (tmp_path / "model.pb").write_bytes(b"x")
    with pytest.raises(ModelFileError, match=r"neither an artifact folder nor a \.tflite or \.onnx file"):
        open_subject(tmp_path / "model.pb")


def test_sizes_are_for_files_that_leave_them_open(
    make_artifact: Callable[..., Path], tmp_path: Path, quick: Plan
) -> None:
    sized = quick.model_copy(update={"batch": 2})
    paths = [tmp_path / "m.tflite", tmp_path / "m.onnx"]
    for path in paths:
        path.write_bytes(b"any")
    for opened, engine in ((open_artifact(make_artifact()), "litert"), (paths[0], "litert"), (paths[0], "torch")):
        with pytest.raises(UsageError, match="--batch and --input-shape are for ONNX files"):
            make_subjects([opened], [engine], sized, [])
    assert len(make_subjects([paths[1]], ["onnxruntime", "torch"], sized, [])) == 2


def test_a_figure_of_a_manifest_that_no_record_holds_is_refused(
    make_artifact: Callable[..., Path], quick: Plan
) -> None:
    artifact = open_artifact(make_artifact())
    cost = artifact.manifest.cost.model_copy(update={"parameters": 10**400})
    huge = replace(artifact, manifest=artifact.manifest.model_copy(update={"cost": cost}))
    with pytest.raises(ArtifactError, match=r"what a record cannot state: parameters"):
        make_subjects([huge], ["litert"], quick, [])
