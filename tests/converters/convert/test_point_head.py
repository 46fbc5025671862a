"""A segmenter with a point head as an artifact: two files, one answer, the same in the simulation and every runtime."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from converters.convert.convert import convert_source
from converters.convert.options import ConvertOptions
from converters.onnx.file import onnx_bytes
from edge.artifact.manifest import MANIFEST_NAME, SELFTEST_NAME, Artifact, file_sha256, open_artifact
from edge.cli.bench import command as bench
from edge.data.open_split import open_split
from edge.engines.null_session import NullSession
from edge.errors import ArtifactError, EngineError, UsageError
from edge.graph.importers.onnx.reader import read_onnx
from edge.predictor.point_selftest import run_head_selftest
from edge.predictor.point_session import open_point_session
from edge.predictor.predictor import Predictor
from edge.tasks.segment import SegmentPrediction
from edge.training.checkpoint import read_checkpoint, restore_module
from edge.training.evaluate import module_predictions
from edge.verification.checks.runtimes import RuntimeChoice
from edge.verification.verify import Request, verify
from tests.support.point_networks import NAMES, point_checkpoint
from tests.support.replaced_file import replaced, with_bias_moved

pytestmark = pytest.mark.unhurried

FRAME = open_split(split="generated:segment:val:3").image(1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return point_checkpoint(tmp_path_factory.mktemp("points") / "float.safetensors")


def class_map(artifact: Artifact, engine: str, steps: int | None = None) -> np.ndarray:
    prediction = Predictor.load(artifact, engine=engine, point_steps=steps)(FRAME, format="rgb")
    assert isinstance(prediction, SegmentPrediction)
    return prediction.class_map


def test_the_head_is_a_file_of_its_own_that_the_manifest_lists(int8: Artifact, real: Artifact) -> None:
    section = int8.manifest.point_head
    assert section is not None and section.steps == 2
    assert [file.path for file in section.files] == ["point_head.tflite", "point_head.onnx", "point_head_source.onnx"]
    given = section.files[0].inputs[0]
    assert (given.shape, given.dtype, given.scale, given.zero_point) == ((1, 64, 1, 48 + 3), "int8", 1 / 128, 0)
    assert [output.meaning for output in int8.manifest.files[0].outputs] == ["logits", "features"]
    assert int8.manifest.selftest.allowed["point_head.tflite"]["litert/xnnpack/x86_64"] == 0
    float_section = real.manifest.point_head
    assert float_section is not None and float_section.files[0].inputs[0].dtype == "float32"
    assert open_artifact(int8.folder).manifest == int8.manifest


def test_no_value_of_maps_features_and_refined_classes_differs(int8: Artifact) -> None:
    split = open_split(split="generated:segment:val:3")
    report = verify(int8, Request(split=split, runtimes=RuntimeChoice(), operator_samples=1))
    failed = {finding.check for finding in report.verdict.findings if finding.passed is False}
    assert not failed & {
        "end to end",
        "self-test",
        "parameters",
        "operators",
    }  # weights that learned nothing are not at issue
    found = {entry.subject: entry for entry in report.fidelity}
    height, width = FRAME.shape[:2]
    outputs = 8 * 12 * len(NAMES) + 16 * 24 * 48
    assert found["model.tflite"].values == found["model.onnx"].values == 3 * (outputs + height * width)
    assert found["model.tflite"].differing == 0
    checked = {finding.subject for finding in report.verdict.findings if finding.check == "parameters"}
    assert {"point_head.tflite and point_head_source.onnx", "point_head.onnx and point_head_source.onnx"} < checked
    for name in ("point_head.tflite in litert", "point_head.onnx in onnxruntime"):
        kinds = [result.operator.kind for result in report.operators[name]]
        assert (kinds.count("Conv"), kinds.count("Add")) == (
            7,
            3,
        )  # a convolution for each of two inputs, but the first
    assert {"model.tflite in litert", "model.onnx in onnxruntime"} < set(report.operators)


def test_arm_kernels_compute_maps_points_and_layers_of_the_head(int8: Artifact, emulated_pi: str) -> None:
    choice = RuntimeChoice(engines=("litert",), pythons=(emulated_pi,))
    report = verify(int8, Request(runtimes=choice, samples=1, operator_samples=1))
    there = next(finding for finding in report.verdict.findings if finding.data.get("machine") == "aarch64")
    assert (there.check, there.data["emulated"], there.data["differing"]) == ("end to end", "qemu-aarch64", 0)
    outputs = 8 * 12 * len(NAMES) + 16 * 24 * 48
    assert there.data["values"] == outputs + 64 * 96  # the self-test has images of the network's size
    layers = report.operators["point_head.tflite in litert on aarch64 (qemu-aarch64)"]
    assert len(layers) == 11 and sum(layer.difference.differing for layer in layers) == 0


def test_a_head_of_other_integers_does_not_ship_and_its_layer_is_named(int8: Artifact, tmp_path: Path) -> None:
    spoilt = onnx_bytes(with_bias_moved(read_onnx(int8.file("point_head_source.onnx")), 3000))
    report = verify(replaced(int8, tmp_path / "spoilt", "point_head_source.onnx", spoilt), Request())
    faults = [finding for finding in report.verdict.faults if finding.check in ("parameters", "operators")]
    assert [(fault.check, fault.subject.split()[0]) for fault in faults] == [
        ("parameters", "point_head.tflite"),
        ("parameters", "point_head.onnx"),
        ("operators", "point_head.onnx"),
    ]
    assert report.verdict.at_fault[0].kind == "Conv" and "bias" in report.verdict.at_fault[0].reason


def test_an_artifact_with_a_head_can_be_written_again(real: Artifact, checkpoint: Path) -> None:
    assert convert_source(checkpoint, real.folder).manifest.every_file == real.manifest.every_file


def test_both_runtimes_give_one_map_and_steps_change_it(int8: Artifact) -> None:
    refined = class_map(int8, "litert")
    np.testing.assert_array_equal(refined, class_map(int8, "onnxruntime"))
    assert (refined != class_map(int8, "litert", 0)).any()
    np.testing.assert_array_equal(refined, class_map(int8, "litert", 2))


def test_the_float_artifact_answers_as_the_checkpoint_in_memory(real: Artifact, checkpoint: Path) -> None:
    opened = read_checkpoint(checkpoint)
    predict = module_predictions(restore_module(opened), opened.recipe.preprocess, "segment")
    assert (predict([FRAME])[0] == class_map(real, "litert")).mean() > 0.999


def test_a_changed_head_is_refused(int8: Artifact, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in int8.folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((copy / MANIFEST_NAME).read_text())
    data = bytearray((copy / "point_head.tflite").read_bytes())
    data[len(data) // 2] ^= 1
    (copy / "point_head.tflite").write_bytes(data)
    with pytest.raises(ArtifactError, match=r"point_head.tflite: changed: sha256"):
        open_artifact(copy)
    del manifest["point_head"]
    (copy / MANIFEST_NAME).write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="no section 'point_head'"):
        open_artifact(copy)


def test_a_head_that_answers_otherwise_fails_its_self_test(int8: Artifact) -> None:
    allowed = int8.manifest.selftest.allowed
    assert set(allowed) == {"model.tflite", "model.onnx", "point_head.tflite", "point_head.onnx"}
    file = int8.model_file("model.tflite")
    head = open_point_session(int8, file, "litert")
    assert head is not None and run_head_selftest(int8, file, head).passed
    ones = NullSession(inputs=head.inputs, outputs=head.outputs)
    assert not run_head_selftest(int8, file, ones).passed


def test_bench_tells_the_parts_of_the_last_stage_apart(int8: Artifact) -> None:
    asked = [str(int8.folder), "--engine", "litert", "--end-to-end", "--min-runs", "3", "--min-seconds", "0", "--json"]
    found = CliRunner().invoke(bench, asked)
    assert found.exit_code == 0, found.output
    end = json.loads(found.stdout.splitlines()[0])["end_to_end"]
    assert set(end["points"]) == {"points", "features", "head"}
    parts = [sum(run) for run in zip(*end["points"].values(), strict=True)]
    assert all(0 < part <= whole for part, whole in zip(parts, end["stages"]["postprocess"], strict=True))


def test_bench_holds_the_head_to_its_self_test_too(int8: Artifact, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(int8.folder, copy)
    with np.load(copy / SELFTEST_NAME) as archive:
        arrays = dict(archive)
    arrays["output_point_head.tflite_0"] = arrays["output_point_head.tflite_0"] ^ 1
    np.savez(copy / SELFTEST_NAME, **arrays)
    manifest = json.loads((copy / MANIFEST_NAME).read_text())
    manifest["selftest"]["sha256"] = file_sha256(copy / SELFTEST_NAME)
    (copy / MANIFEST_NAME).write_text(json.dumps(manifest))
    asked = ["--end-to-end", "--min-runs", "3", "--min-seconds", "0", "--json", "--engine"]
    found = CliRunner().invoke(bench, [str(copy), *asked, "litert"])
    assert isinstance(found.exception, EngineError)
    assert "self-test of point_head.tflite: differs by 1, 0 is allowed" in str(found.exception)
    computes_nothing = CliRunner().invoke(bench, [str(copy), *asked, "null"])
    assert computes_nothing.exit_code == 0, computes_nothing.output


def test_what_a_head_cannot_go_with_is_refused(checkpoint: Path, real: Artifact, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--head class_map: a point head refines the network's own logits"):
        convert_source(checkpoint, tmp_path / "x", ConvertOptions(head="class_map"))
    with pytest.raises(UsageError, match="7 point steps; 0 to 4"):
        Predictor.load(real, point_steps=7)
