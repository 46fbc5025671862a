"""edge bench --explain on a file made to have a transpose, and what it refuses."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from converters.measuring.onnx import PEAK_LAYERS, peak_file
from converters.tflite.writer import tflite_bytes
from device_bench.records.record import parse_records
from device_bench.records.record_lines import read_records
from edge.cli.bench import command
from edge.errors import UsageError
from edge.graph.graph import Graph, Operator, Tensor, per_tensor


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


QUICK = ["--min-seconds", "0", "--min-runs", "5", "--rounds", "1", "--warmup-seconds", "0", "--explain"]


@pytest.mark.unhurried
def test_an_inserted_transpose_is_among_the_reasons_of_the_record(turned: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert.interpreter")
    out = tmp_path / "records.jsonl"
    result = CliRunner().invoke(command, [str(turned), *QUICK, "--engine", "litert", "-o", str(out)])
    assert result.exit_code == 0, result.output
    (record,) = read_records(out)
    found = record.explanation
    assert found is not None and record.unexplained is None
    assert [operator.names for operator in found.operators] == [("y",), ("z",)]
    assert "transpose" in [reason.name for reason in found.reasons]
    assert "Transpose z" in result.output and "transposes (1)" in result.output
    assert found.peaks.int8_multiply_adds_per_s and found.peaks.float_multiply_adds_per_s
    assert "1" in found.threads_ns


@pytest.mark.unhurried
def test_the_agent_in_another_python_explains_with_several_threads(turned: Path) -> None:
    pytest.importorskip("ai_edge_litert.interpreter")
    options = ["--engine", "litert:builtin", "--python", sys.executable, "--threads", "2", "--json"]
    result = CliRunner().invoke(command, [str(turned), *QUICK, *options])
    assert result.exit_code == 0, result.output
    found = parse_records(result.stdout, "stdout")[0].explanation
    assert found is not None
    assert (found.engine, found.threads, len(found.operators)) == ("litert:builtin", 2, 2)
    assert {operator.delegated for operator in found.operators} == {False}
    assert {"1", "2"} <= set(found.threads_ns)


@pytest.mark.parametrize(
    "options",
    [["--on", "emulated-arm64"], ["--on", "adb:X"], ["--engine", "torch"], ["--engine", "null"]],
)
def test_what_cannot_be_explained_is_refused_before_anything_is_measured(
    make_artifact: Callable[..., Path], options: list[str]
) -> None:
    with pytest.raises(UsageError, match="--explain"):
        CliRunner().invoke(command, [str(make_artifact()), "--explain", *options], catch_exceptions=False)


@pytest.mark.unhurried
def test_an_onnx_file_is_explained_by_the_runtimes_own_profile(tmp_path: Path) -> None:
    path = tmp_path / "layers.onnx"
    path.write_bytes(peak_file("int8"))
    result = CliRunner().invoke(command, [str(path), "--engine", "onnxruntime", *QUICK, "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["explanation"]
    assert (found["method"], found["engine"]) == ("onnxruntime-profile", "onnxruntime:mlas")
    convolutions = [operator for operator in found["operators"] if operator["kind"] == "Conv"]
    assert [operator["names"] for operator in convolutions] == [[f"layer.{place}"] for place in range(PEAK_LAYERS)]
    assert sum(operator["share_multiply_adds"] for operator in convolutions) == pytest.approx(1)
    assert sum(operator["time_ns"] for operator in found["operators"]) + found["unexplained_ns"] == found["whole_ns"]
    assert "transpose" in [reason["name"] for reason in found["reasons"]]
