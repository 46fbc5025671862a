"""ONNX Runtime behind the engine protocol."""

from pathlib import Path

import numpy as np
import pytest

from edge.errors import EngineError, ModelFileError, UsageError
from edge.runtime.engine import open_session

pytest.importorskip("onnxruntime", reason="the onnxruntime engine is not installed")
onnx = pytest.importorskip("onnx", reason="onnx is not installed, so no file can be made")


def write_sum(path: Path, first: list[int | str], second: list[int | str]) -> Path:
    """A file that adds a float input and a constant 1."""
    one = onnx.numpy_helper.from_array(np.float32(1).reshape(()), "one")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "one"], ["y"])],
        "sum",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, first)],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, second)],
        [one],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def test_runs_and_says_what_ran(tmp_path: Path) -> None:
    session = open_session("onnxruntime", write_sum(tmp_path / "sum.onnx", [1, 2], [1, 2]), threads=2)
    assert (session.inputs[0].shape, session.inputs[0].dtype) == ((1, 2), "float32")
    assert (session.info.kernels, session.info.delegate, session.info.threads) == ("mlas", "CPUExecutionProvider", 2)
    np.testing.assert_array_equal(session.run([np.array([[1, 2]], np.float32)])[0], [[2, 3]])


def test_an_open_batch_size_is_one_and_any_other_open_size_is_refused(tmp_path: Path) -> None:
    open_batch = open_session("onnxruntime", write_sum(tmp_path / "batch.onnx", ["N", 2], ["N", 2]))
    assert open_batch.inputs[0].shape == (1, 2)
    with pytest.raises(EngineError, match=r"'x' has an open size \(1, W\)"):
        open_session("onnxruntime", write_sum(tmp_path / "wide.onnx", [1, "W"], [1, "W"]))


def test_wrong_arrays_are_refused(tmp_path: Path) -> None:
    session = open_session("onnxruntime", write_sum(tmp_path / "sum.onnx", [1, 2], [1, 2]))
    with pytest.raises(EngineError, match=r"input 'x' is float32 \(1, 2\), got float64 \(1, 2\)"):
        session.run([np.zeros((1, 2))])


def test_damaged_missing_and_misasked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(write_sum(tmp_path / "sum.onnx", [1, 2], [1, 2]).read_bytes()[:40])
    with pytest.raises(EngineError, match=r"damaged\.onnx: refused by the runtime") as caught:
        open_session("onnxruntime", damaged)
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelFileError, match="no such file"):
        open_session("onnxruntime", tmp_path / "absent.onnx")
    with pytest.raises(UsageError, match="did you mean 'mlas'"):
        open_session("onnxruntime", damaged, kernels="mlass")
    assert capfd.readouterr().err == ""
