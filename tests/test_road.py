"""The whole road by the command line: what was trained is what the files hold and what the runtimes answer."""

import json
from pathlib import Path

import numpy as np
import pytest

from edge.artifact.manifest import open_artifact
from edge.cli.main import main
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite


@pytest.fixture(scope="module")
def graphs(road: Path) -> dict[str, Graph]:
    """The trained integers as the QAT module, source.onnx, model.onnx and model.tflite hold them."""
    from edge.quantization.qat.freeze import freeze
    from edge.training.checkpoint import read_checkpoint, restore_module

    module = restore_module(read_checkpoint(road / "run" / "qat.safetensors")).eval()
    found = {"module": freeze(module)}
    for name in ("source.onnx", "model.onnx"):
        found[name] = read_onnx(road / "int8" / name)
    found["model.tflite"] = read_tflite(road / "int8" / "model.tflite")
    return found


@pytest.mark.parametrize("name", ["source.onnx", "model.tflite"])
def test_scale_and_zero_point_of_every_tensor_are_those_of_the_trained_module(
    graphs: dict[str, Graph], name: str
) -> None:
    """Bit for bit, by tensor name, for every quantized tensor of the QAT module."""
    trained = graphs["module"]
    quantized = [tensor for tensor in trained.tensors.values() if tensor.quantization is not None]
    assert len(quantized) > 100
    for tensor in quantized:
        found = graphs[name].tensors[tensor.name].quantization
        assert tensor.quantization is not None and found is not None, tensor.name
        np.testing.assert_array_equal(found.scale, tensor.quantization.scale, err_msg=tensor.name)
        np.testing.assert_array_equal(found.zero_point, tensor.quantization.zero_point, err_msg=tensor.name)


@pytest.mark.parametrize("name", ["source.onnx", "model.onnx", "model.tflite"])
def test_integer_weights_and_biases_are_those_of_the_trained_module(graphs: dict[str, Graph], name: str) -> None:
    """Bit for bit, by tensor name."""
    trained = graphs["module"]
    constants = [tensor for tensor in trained.tensors.values() if tensor.data is not None and tensor.quantization]
    assert constants
    for tensor in constants:
        np.testing.assert_array_equal(graphs[name].tensors[tensor.name].data, tensor.data, err_msg=tensor.name)


def test_the_onnx_for_devices_has_the_same_reals_in_uint8(graphs: dict[str, Graph]) -> None:
    """Every activation keeps its scale, and its zero point is 128 higher."""
    for tensor in graphs["source.onnx"].tensors.values():
        if tensor.dtype != "int8" or tensor.data is not None or tensor.quantization is None:
            continue
        found = graphs["model.onnx"].tensors[tensor.name]
        assert found.dtype == "uint8" and found.quantization is not None
        np.testing.assert_array_equal(found.quantization.scale, tensor.quantization.scale)
        np.testing.assert_array_equal(found.quantization.zero_point, tensor.quantization.zero_point + 128)


def test_the_tflite_file_is_integers_only_and_needs_no_transpose(graphs: dict[str, Graph]) -> None:
    """Int8 in, int8 out, no QUANTIZE, DEQUANTIZE, TRANSPOSE or PAD, no float tensor."""
    graph = graphs["model.tflite"]
    kinds = {operator.kind for operator in graph.operators}
    assert not kinds & {"Quantize", "Dequantize", "Transpose", "Pad"}
    assert not [tensor.name for tensor in graph.tensors.values() if tensor.dtype.startswith("float")]
    assert {graph.tensors[name].dtype for name in (*graph.inputs, *graph.outputs)} == {"int8"}


def test_verify_ships_the_artifact(road: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 differing values with XNNPACK, parameters identical, exit code 0; one JSON object per line."""
    capsys.readouterr()
    assert main(["verify", str(road / "int8"), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) > 3


def test_what_has_learnt_nothing_in_two_epochs_does_not_ship(road: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything else holds, and it decides as its float parent, which knows nothing either."""
    capsys.readouterr()
    arguments = ["--split", "generated:classify:val:8", "--accuracy-floor", "0", "--json"]
    assert main(["verify", str(road / "int8"), *arguments]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    failed = [(line["check"], line["subject"]) for line in lines if line.get("passed") is False]
    assert {check for check, _ in failed} == {"chance"} and failed[0][1] == "float parent"


def test_float_and_int8_artifacts_describe_the_same_network(road: Path) -> None:
    """Same counts; the INT8 weights take a quarter of the bytes, and a bit for scales."""
    float_cost = open_artifact(road / "float").manifest.cost
    int8_cost = open_artifact(road / "int8").manifest.cost
    assert float_cost.multiply_adds == int8_cost.multiply_adds
    assert float_cost.parameters == int8_cost.parameters
    assert int8_cost.weights_bytes < 0.35 * float_cost.weights_bytes
    assert float_cost.unruled == int8_cost.unruled == ()


def test_converting_twice_gives_the_same_files(road: Path, tmp_path: Path) -> None:
    """The files depend on the checkpoint alone, not on the artifact's name."""
    assert main(["convert", str(road / "run" / "qat.safetensors"), "-o", str(tmp_path / "other"), "--no-verify"]) == 0
    for name in ("model.tflite", "model.onnx", "source.onnx"):
        assert (tmp_path / "other" / name).read_bytes() == (road / "int8" / name).read_bytes()


def test_one_flipped_weight_bit_does_not_ship(road: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A TFLite file that is not what was trained, hashes brought in line: verify names it and ends with 1."""
    import hashlib
    import shutil

    shutil.copytree(road / "int8", tmp_path / "int8")
    path = tmp_path / "int8" / "model.tflite"
    data = bytearray(path.read_bytes())
    weights = read_tflite(bytes(data)).constant(_linear_weight(bytes(data)))
    position = bytes(data).index(np.ascontiguousarray(weights).tobytes()[:64])
    data[position] ^= 0x40
    path.write_bytes(bytes(data))
    manifest = (tmp_path / "int8" / "manifest.json").read_text()
    old = open_artifact(road / "int8").model_file("model.tflite").sha256
    (tmp_path / "int8" / "manifest.json").write_text(manifest.replace(old, hashlib.sha256(data).hexdigest()))
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "int8")]) == 1
    assert "do not ship" in capsys.readouterr().out.lower()


def _linear_weight(data: bytes) -> str:
    """The name of the fully connected weight: stored (O, I) in the file and in the graph alike."""
    graph = read_tflite(data)
    return next(operator.inputs[1] for operator in graph.operators if operator.kind == "Gemm")
