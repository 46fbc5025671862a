"""The road through onnx2tf: isolated, checked, and a second opinion on the writer.

What needs onnx2tf itself runs in its environment (`make peers`); how failures are met is
tested with stand-ins for its Python.
"""

import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from converters.onnx.file import onnx_bytes
from converters.onnx2tf.check import check_file, check_values
from converters.onnx2tf.environment import VARIABLE, environment_folder, find_python
from converters.onnx2tf.isolated import bare_environment, run_onnx2tf
from edge.artifact.manifest import open_artifact
from edge.cli.main import main
from edge.engines.engine import open_session
from edge.errors import EngineError, UnsupportedError
from edge.graph.importers.tflite.reader import read_tflite
from edge.models.registry import build
from edge.quantization.qat.capture import float_graph


@pytest.fixture
def python(onnx2tf_python: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The python of onnx2tf's environment, where the product finds it."""
    monkeypatch.setenv(VARIABLE, onnx2tf_python)
    return Path(onnx2tf_python)


def stand_in(folder: Path, script: str) -> Path:
    """A program that takes the place of onnx2tf's Python."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def local_response_network() -> bytes:
    """A classifier with an operator that the writer refuses (LRN), its batch left open."""
    random = np.random.default_rng(0)

    def constant(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(random.normal(0, 0.3, shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2], name="stem"),
        helper.make_node("LRN", ["a"], ["n"], size=5, name="norm"),
        helper.make_node("Relu", ["n"], ["r"], name="relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
        helper.make_node("Gemm", ["f", "w2"], ["y"], name="classifier"),
    ]
    graph = helper.make_graph(
        nodes,
        "local_response",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [constant("w1", 8, 3, 3, 3), constant("b1", 8), constant("w2", 8, 2)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.fixture
def refused(tmp_path: Path, tiny_card: str) -> tuple[Path, Path]:
    """That network and its card."""
    (tmp_path / "model.onnx").write_bytes(local_response_network())
    card = tiny_card.split("[labels]")[0] + '[labels]\nnames = ["left", "right"]\n'
    (tmp_path / "card.toml").write_text(card)
    return tmp_path / "model.onnx", tmp_path / "card.toml"


def test_the_writers_refusal_names_this_road(
    refused: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The operator, the node, and what to try."""
    onnx_path = tmp_path / "static.onnx"
    model = onnx.load_from_string(local_response_network())
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx_path.write_bytes(model.SerializeToString())
    assert main(["convert", str(onnx_path), "--card", str(refused[1]), "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "LRN" in said and "'norm'" in said and "--via onnx2tf" in said and len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_missing_environment_names_the_command_that_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the variable names nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    assert environment_folder().parent == tmp_path / "edge-deploy"
    with pytest.raises(EngineError, match="edge convert --prepare-onnx2tf"):
        find_python()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    with pytest.raises(EngineError, match="no such file"):
        find_python()


def test_a_failure_is_its_last_error_in_one_line(tmp_path: Path) -> None:
    """Not a page of log; and the working folder is gone."""
    python = stand_in(tmp_path, f"pwd > {tmp_path}/where; echo 'ValueError: no way for Foo'; echo bye; exit 3")
    with pytest.raises(EngineError, match=r"^onnx2tf failed: ValueError: no way for Foo$"):
        run_onnx2tf(python, b"model")
    assert not Path((tmp_path / "where").read_text().strip()).exists()


@pytest.mark.unhurried
def test_a_process_that_does_not_end_is_ended(tmp_path: Path) -> None:
    """With everything that it started."""
    marker = tmp_path / "alive"
    python = stand_in(tmp_path, f"(sleep 3; touch {marker}) & sleep 60")
    with pytest.raises(EngineError, match=r"ended after 0\.5 s"):
        run_onnx2tf(python, b"model", time_limit_s=0.5)
    time.sleep(4)
    assert not marker.exists()


def test_success_without_a_model_is_refused(tmp_path: Path) -> None:
    """Exit code 0 proves nothing."""
    result = '{\\"versions\\": {}, \\"seconds\\": 1, \\"conversion_seconds\\": 1, \\"peak_bytes\\": 1}'
    python = stand_in(tmp_path, f'echo "{result}" > result.json')
    with pytest.raises(EngineError, match=r"wrote no model_float32\.tflite"):
        run_onnx2tf(python, b"model")


def test_the_process_sees_a_bare_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the user's but the path, a home of its own, proxies that lead nowhere."""
    monkeypatch.setenv("SECRET_TOKEN", "1")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    seen = bare_environment(tmp_path)
    assert "SECRET_TOKEN" not in seen and "PYTHONPATH" not in seen
    assert seen["HOME"] == str(tmp_path) and seen["https_proxy"] == "http://127.0.0.1:9"


def test_values_far_from_the_source_are_refused() -> None:
    """A float file to a thousandth, a quantized one to its least signal-to-noise ratio."""
    source = [np.array([1.0, -2.0], np.float32)]
    assert "largest difference" in check_values(source, [source[0] + np.float32(1e-4)], quantized=False)
    with pytest.raises(UnsupportedError, match="differs from the source"):
        check_values(source, [source[0] + np.float32(0.01)], quantized=False)
    assert "dB" in check_values(source, [source[0] + np.float32(0.1)], quantized=True)
    with pytest.raises(UnsupportedError, match="dB of signal to noise"):
        check_values(source, [-source[0]], quantized=True)


def test_a_file_far_larger_than_its_source_is_refused() -> None:
    """Before anything in it is read."""
    with pytest.raises(UnsupportedError, match="from a source of 10"):
        check_file(b"\0" * (17 * 1024 * 1024), 10)


def test_what_the_writer_refuses_becomes_an_artifact(
    python: Path, refused: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Converted, verified, described: the road, its versions, the operators that stayed in float."""
    source, card = refused
    folder = tmp_path / "artifact"
    assert main(["convert", str(source), "--card", str(card), "--via", "onnx2tf", "-o", str(folder)]) == 0
    said = capsys.readouterr().err
    assert "operators compute in float" in said and "passed end to end: model.tflite" in said
    manifest = open_artifact(folder).manifest
    assert manifest.provenance.road == "onnx2tf" and "onnx2tf" in manifest.provenance.versions
    assert (manifest.precision, manifest.quantization.method) == ("float32", "none")


def test_its_own_quantization_is_called_that_and_promises_nothing(
    python: Path, refused: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The method, the note, and no check that claims exactness."""
    source, card = refused
    folder = tmp_path / "artifact"
    images = ["--calibration", "generated:classify:train", "-n", "4"]
    assert main(["convert", str(source), "--card", str(card), "--via", "onnx2tf", *images, "-o", str(folder)]) == 0
    said = capsys.readouterr().err
    assert "noted parameters" in said and "noted end to end" in said
    assert {line.split(":")[0].strip() for line in said.splitlines() if "passed" in line} == {"passed self-test"}
    manifest = open_artifact(folder).manifest
    assert manifest.quantization.method == "ptq (onnx2tf)" and manifest.quantization.calibration_images == 4
    assert any("onnx2tf's choice" in note for note in manifest.quantization.notes)
    assert any("stayed in float: LOCAL_RESPONSE_NORMALIZATION" in note for note in manifest.quantization.notes)


def test_a_quantized_source_loses_its_parameters_and_the_manifest_says_so(
    python: Path, road: Path, tmp_path: Path
) -> None:
    """A QAT checkpoint comes out as a float artifact."""
    folder = tmp_path / "artifact"
    assert main(["convert", str(road / "run" / "qat.safetensors"), "--via", "onnx2tf", "-o", str(folder)]) == 0
    manifest = open_artifact(folder).manifest
    assert manifest.precision == "float32"
    assert any("they were dropped" in note for note in manifest.quantization.notes)


@pytest.mark.parametrize("task", ["classify", "segment"])
def test_writer_and_onnx2tf_agree_on_the_same_network(python: Path, road: Path, tmp_path: Path, task: str) -> None:
    """Two independent converters, one float network: outputs within 1e-4 of the largest, and no more TRANSPOSE here."""
    source = (road / "float" / "model.onnx").read_bytes() if task == "classify" else fast_scnn()
    (tmp_path / "model.onnx").write_bytes(source)
    ours = tmp_path / "ours.tflite"
    assert main(["convert", str(tmp_path / "model.onnx"), "-o", str(ours)]) == 0
    theirs = tmp_path / "theirs.tflite"
    theirs.write_bytes(run_onnx2tf(python, source).tflite)
    first, second = open_session("litert", ours), open_session("litert", theirs)
    image = np.random.default_rng(1).normal(size=first.inputs[0].shape).astype(np.float32)
    expected, found = first.run([image])[0], second.run([image])[0]
    assert np.abs(expected - found).max() <= 1e-4 * np.abs(expected).max()
    kinds = [Counter(operator.kind for operator in read_tflite(path).operators) for path in (ours, theirs)]
    assert kinds[0]["Transpose"] == 0 <= kinds[1]["Transpose"]
    assert kinds[0]["Conv"] == kinds[1]["Conv"]


def fast_scnn() -> bytes:
    """Fast-SCNN for 64 x 96 pixels, random weights, as float ONNX."""
    torch.manual_seed(0)
    network = build("fast_scnn", classes=5, resolution_hw=(64, 96)).eval()
    return onnx_bytes(float_graph(network, torch.zeros(1, 3, 64, 96)))
