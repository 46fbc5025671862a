"""edge bench --explain on a file made to have a transpose, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from converters.onnx_measuring import PEAK_LAYERS, peak_file
from converters.tflite.writer import tflite_bytes
from edge.errors import UsageError
from edge.graph.graph import Graph, Operator, Tensor, per_tensor
from edge.verbs.bench import command


@pytest.fixture
def turned(tmp_path: Path) -> Path:
    """relu -> TRANSPOSE of a large map."""
    shapes = {"x": (1, 96, 128, 16), "y": (1, 96, 128, 16), "z": (1, 128, 96, 16)}
    graph = Graph(
        name="turned",
        layout="nhwc",
        operators=(
            Operator(kind="Relu", name="relu", inputs=("x",), outputs=("y",)),
            Operator(kind="Transpose", name="turn", inputs=("y",), outputs=("z",), attributes={"perm": (0, 2, 1, 3)}),
        ),
        tensors={n: Tensor(name=n, shape=s, dtype="int8", quantization=per_tensor(0.1, 0)) for n, s in shapes.items()},
        inputs=("x",),
        outputs=("z",),
    )
    path = tmp_path / "turned.tflite"
    path.write_bytes(tflite_bytes(graph))
    return path


def test_an_inserted_transpose_is_among_the_reasons(turned: Path) -> None:
    pytest.importorskip("ai_edge_litert.interpreter")
    result = CliRunner().invoke(command, [str(turned), "--explain", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert "transpose" in [reason["name"] for reason in found["reasons"]]
    assert sum(operator["time_ns"] for operator in found["operators"]) + found["unexplained_ns"] == found["whole_ns"]
    assert all(np.isfinite(value) and value > 0 for key, value in found["peaks"].items() if key != "how")


def test_other_targets_and_engines_are_refused(turned: Path) -> None:
    for options in (["--on", "emulated-arm64"], ["--engine", "onnxruntime"]):
        with pytest.raises(UsageError, match="--explain"):
            CliRunner().invoke(command, [str(turned), "--explain", *options], catch_exceptions=False)


def test_options_without_effect_are_refused_by_name(turned: Path) -> None:
    options = ["--rounds", "3", "--kernels", "builtin", "--threads", "1"]
    with pytest.raises(UsageError, match=r"leave .*--kernels.*away") as refused:
        CliRunner().invoke(command, [str(turned), "--explain", *options], catch_exceptions=False)
    assert "--rounds" in str(refused.value) and "--threads" in str(refused.value)


def test_an_onnx_file_is_explained_by_the_runtimes_own_profile(tmp_path: Path) -> None:
    path = tmp_path / "layers.onnx"
    path.write_bytes(peak_file("int8"))
    result = CliRunner().invoke(command, [str(path), "--engine", "onnxruntime", "--explain", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert (found["method"], found["engine"]) == ("onnxruntime-profile", "onnxruntime:mlas")
    convolutions = [operator for operator in found["operators"] if operator["kind"] == "Conv"]
    assert [operator["names"] for operator in convolutions] == [[f"layer.{place}"] for place in range(PEAK_LAYERS)]
    assert sum(operator["share_multiply_adds"] for operator in convolutions) == pytest.approx(1)
    assert sum(operator["time_ns"] for operator in found["operators"]) + found["unexplained_ns"] == found["whole_ns"]
    assert "transpose" in [reason["name"] for reason in found["reasons"]]
