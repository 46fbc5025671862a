"""ONNX Runtime behind the engine protocol."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.engines.engine import DeviceSession, DeviceTimes, open_session
from edge.engines.kernel_sets import PROVIDERS
from edge.engines.onnx_binding import DeviceBinding
from edge.engines.onnx_providers import count_nodes, profiled_nodes, start_session
from edge.errors import EngineError, ModelFileError, UsageError
from edge.port import Port

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


def test_every_node_is_told_to_its_provider(tmp_path: Path) -> None:
    path = write_sum(tmp_path / "sum.onnx", [1, 2], [1, 2])
    info = open_session("onnxruntime", path).info
    assert (info.operators, info.delegated_operators) == (1, 1)
    assert info.package is not None and info.wheel_tag is not None
    runtime = pytest.importorskip("onnxruntime")
    ports = (Port(name="x", shape=(1, 2), dtype="float32"),)
    assert profiled_nodes(runtime, path, "mlas", ports) == {"CPUExecutionProvider": 1}  # by another way


@pytest.mark.parametrize(
    ("kernels", "told"),
    [
        ("cuda", r"no CUDAExecutionProvider in this installation \(it has .*CPUE.*\); pip install onnxruntime-gpu"),
        ("tensorrt", r"no TensorrtExecutionProvider in this installation .*; pip install onnxruntime-gpu tensorrt"),
        ("xnnpack", r"no XnnpackExecutionProvider in this installation .*; ONNX Runtime built with --use_xnnpack"),
    ],
)
def test_a_provider_that_is_absent_is_one_line(tmp_path: Path, kernels: str, told: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    if PROVIDERS[kernels].names[0] in runtime.get_available_providers():
        pytest.skip(f"this onnxruntime has the provider of '{kernels}'")
    with pytest.raises(EngineError, match=told) as caught:
        open_session("onnxruntime", write_sum(tmp_path / "sum.onnx", [1, 2], [1, 2]), kernels=kernels)
    assert "\n" not in str(caught.value)


def test_copies_between_providers_are_no_operators() -> None:
    def event(kind: str, provider: str, name: str = "a_kernel_time") -> dict[str, Any]:
        return {"cat": "Node", "name": name, "args": {"op_name": kind, "provider": provider}}

    events = [
        event("Conv", "CUDAExecutionProvider"),
        event("Conv", "CUDAExecutionProvider", "a_fence_before"),
        event("MemcpyToHost", "CUDAExecutionProvider"),
        event("Shape", "CPUExecutionProvider"),
        {"cat": "Session", "name": "model_run", "args": {}},
    ]
    assert count_nodes(events) == {"CUDAExecutionProvider": 1, "CPUExecutionProvider": 1}


def test_bound_memory_gives_the_same_answer_and_times_the_parts(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    session = start_session(runtime, write_sum(tmp_path / "sum.onnx", [1, 2], [1, 2]), "mlas", 1)
    given, made = (Port(name=name, shape=(1, 2), dtype="float32") for name in ("x", "y"))
    readings = iter([100, 107, 130, 132, 200, 201, 203, 206])
    binding = DeviceBinding(runtime, session, [given], [made], device="cpu", clock=lambda: next(readings))
    (first,), times = binding.run([np.array([[1, 2]], np.float32)])
    assert times == DeviceTimes(to_device_ns=7, compute_ns=23, to_host_ns=2)
    (second,), later = binding.run([np.array([[5, 6]], np.float32)])
    np.testing.assert_array_equal(second, [[6, 7]])
    assert later == DeviceTimes(to_device_ns=1, compute_ns=2, to_host_ns=3)
    np.testing.assert_array_equal(first, [[2, 3]])  # the caller's own: a later run does not change it


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu_and_tells_transfers_apart(tmp_path: Path, cuda: str) -> None:
    path = write_sum(tmp_path / "sum.onnx", [1, 2], [1, 2])
    session = open_session("onnxruntime", path, kernels="cuda")
    assert session.info.delegated_operators == 1 and session.info.device is not None
    np.testing.assert_array_equal(session.run([np.array([[1, 2]], np.float32)])[0], [[2, 3]])
    assert isinstance(session, DeviceSession)
    times = session.run_timed([np.array([[1, 2]], np.float32)])
    assert min(times.to_device_ns, times.compute_ns, times.to_host_ns) > 0


def test_an_open_batch_size_is_one_and_any_other_open_size_is_refused(tmp_path: Path) -> None:
    open_batch = open_session("onnxruntime", write_sum(tmp_path / "batch.onnx", ["N", 2], ["N", 2]))
    assert open_batch.inputs[0].shape == (1, 2)
    with pytest.raises(EngineError, match=r"'x' has an open size on axis 1; say it with --input-shape x="):
        open_session("onnxruntime", write_sum(tmp_path / "wide.onnx", [1, "W"], [1, "W"]))


def test_open_sizes_are_those_that_are_given(tmp_path: Path) -> None:
    path = write_sum(tmp_path / "open.onnx", ["N", "W"], ["N", "W"])
    session = open_session("onnxruntime", path, batch=3, shapes={"x": (2, 5)})
    assert (session.inputs[0].shape, session.outputs[0].shape) == ((2, 5), (2, 5))
    assert session.run([np.zeros((2, 5), np.float32)])[0].shape == (2, 5)
    batch = open_session("onnxruntime", write_sum(tmp_path / "batch.onnx", ["N", 2], ["M", 2]), batch=3)
    assert (batch.inputs[0].shape, batch.outputs[0].shape) == ((3, 2), (-1, 2))
    batch.run([np.zeros((3, 2), np.float32)])
    assert batch.outputs[0].shape == (3, 2)
    for shapes, problem in (
        ({"y": (1, 2)}, "unknown input 'y'"),
        ({"x": (1, 2, 3)}, "has 2 axes, --input-shape says 1x2x3"),
    ):
        with pytest.raises(UsageError, match=problem):
            open_session("onnxruntime", path, shapes=shapes)
    fixed = write_sum(tmp_path / "fixed.onnx", [1, 2], [1, 2])
    with pytest.raises(UsageError, match="has size 2 on axis 1, --input-shape says 1x5"):
        open_session("onnxruntime", fixed, shapes={"x": (1, 5)})
    with pytest.raises(UsageError, match="for ONNX files with open sizes"):
        open_session("litert", tmp_path / "m.tflite", batch=2)


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
