"""torch's native kernel sets: a float file by torch's own functions, in several precisions and memory formats."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.engines.engine import DeviceSession, DeviceTimes, open_session
from edge.engines.kernel_sets import TORCH
from edge.engines.output_difference import REDUCED, difference_allowed_here, output_difference
from edge.errors import EngineError
from edge.graph.graph import Graph, Operator, Tensor

torch = pytest.importorskip("torch", reason="torch is not installed")
onnx = pytest.importorskip("onnx", reason="onnx is not installed, so no file can be made")

from converters.onnx.file import onnx_bytes  # noqa: E402
from converters.passes.layout.nhwc import to_nhwc  # noqa: E402
from edge.engines.torch.kernels import check_here, cpp_compiler  # noqa: E402
from edge.engines.torch.module import GraphModule  # noqa: E402
from edge.engines.torch.native import DeviceMemorySession, open_native  # noqa: E402
from edge.engines.torch.timing import HostEvents, device_times  # noqa: E402
from edge.execution.float_run import FloatRun  # noqa: E402
from edge.models.registry import build  # noqa: E402
from edge.quantization.qat.freeze import float_graph  # noqa: E402

torch.set_num_threads(1)
NETWORKS: Mapping[str, tuple[dict[str, Any], tuple[int, int]]] = {
    "mobilenet_v1": ({"classes": 5, "width": 0.25, "resolution": 32}, (32, 32)),
    "mobilenet_v2": ({"classes": 5, "width": 0.35, "resolution": 32}, (32, 32)),
    "fast_scnn": ({"classes": 3, "resolution_hw": (64, 96)}, (64, 96)),
}
# Largest difference from ONNX Runtime as a share of the largest answer.
TOLERANCES = {"eager": 1e-4, "eager-channels-last": 1e-4, "fp16": REDUCED["float16"][0], "bf16": REDUCED["bfloat16"][0]}


def network(name: str) -> tuple[Graph, np.ndarray]:
    """A network with random weights and the statistics that go with them, as a graph, and an input for it."""
    arguments, size_hw = NETWORKS[name]
    torch.manual_seed(0)
    x = torch.randn(1, 3, *size_hw)
    model = build(name, **arguments)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the average of all batches
    with torch.no_grad():
        model.train()(torch.randn(8, 3, *size_hw))
    return float_graph(model.eval(), x), x.numpy()


@pytest.fixture(scope="module", params=list(NETWORKS))
def onnx_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A float network's ONNX file and an input."""
    graph, x = network(request.param)
    path = tmp_path_factory.mktemp("native") / f"{request.param}.onnx"
    path.write_bytes(onnx_bytes(graph))
    return path, x


@pytest.mark.parametrize("kernels", list(TOLERANCES))
def test_a_network_agrees_with_onnx_runtime(onnx_file: tuple[Path, np.ndarray], kernels: str) -> None:
    pytest.importorskip("onnxruntime", reason="the onnxruntime engine is not installed")
    path, x = onnx_file
    (expected,) = open_session("onnxruntime", path).run([x])
    session = open_session("torch", path, kernels=kernels)
    (found,) = session.run([x])
    assert found.dtype == np.float32 and found.shape == session.outputs[0].shape
    assert np.abs(found - expected).max() <= TOLERANCES[kernels] * np.abs(expected).max()
    assert (session.info.kernels, session.info.precision) == (kernels, TORCH[kernels].precision)
    assert session.info.device is None and session.info.wheel_tag is not None


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_channels_last_graph_gives_the_same(name: str) -> None:
    graph, x = network(name)
    (expected,) = FloatRun(graph).run([x])
    turned = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    with torch.inference_mode():
        (found,) = GraphModule(to_nhwc(graph))(torch.from_numpy(turned))
    again = found.numpy().transpose(0, 3, 1, 2) if found.ndim == 4 else found.numpy()
    np.testing.assert_allclose(again, expected, atol=1e-4, rtol=1e-4)


POOL = {"kernel": (3, 3), "strides": (2, 2), "activation": "relu"}
TRANSPOSED = {"strides": (2, 2), "dilations": (1, 1), "activation": "none"}
# kind, attributes, input shape, output shape, constants after the input; NCHW.
CASES: tuple[tuple[str, dict[str, Any], tuple[int, ...], tuple[int, ...], tuple[tuple[int, ...], ...]], ...] = (
    *(
        ("Resize", {"mode": mode, "coordinates": coordinates, "size_hw": (11, 4)}, (1, 3, 5, 7), (1, 3, 11, 4), ())
        for mode in ("linear", "nearest")
        for coordinates in ("half_pixel", "asymmetric", "align_corners")
    ),
    ("Slice", {"begin": (0, 1, 0, 2), "end": (1, 3, 5, 7), "strides": (1, 1, 2, 1)}, (1, 3, 5, 7), (1, 2, 3, 5), ()),
    ("Slice", {"begin": (0, 0, 4, 0), "end": (1, 3, -1, 7), "strides": (1, 1, -2, 1)}, (1, 3, 5, 7), (1, 3, 3, 7), ()),
    ("ReflectPad", {"pads": ((0, 0), (0, 0), (1, 2), (3, 0))}, (1, 3, 5, 7), (1, 3, 8, 10), ()),
    ("ArgMax", {"axis": 1, "keepdims": False}, (1, 3, 5, 7), (1, 5, 7), ()),
    ("MaxPool", {**POOL, "pads": (1, 1, 1, 1)}, (1, 3, 5, 7), (1, 3, 3, 4), ()),
    ("MaxPool", {**POOL, "pads": (0, 1, 1, 0)}, (1, 3, 6, 6), (1, 3, 3, 3), ()),
    ("AveragePool", {**POOL, "pads": (1, 1, 1, 1), "count_include_pad": False}, (1, 3, 5, 7), (1, 3, 3, 4), ()),
    ("AveragePool", {**POOL, "pads": (1, 1, 1, 1), "count_include_pad": True}, (1, 3, 5, 7), (1, 3, 3, 4), ()),
    ("AveragePool", {**POOL, "pads": (0, 0, 1, 1), "count_include_pad": False}, (1, 3, 6, 6), (1, 3, 3, 3), ()),
    (
        "ConvTranspose",
        {**TRANSPOSED, "pads": (0, 0, 0, 0), "group": 1},
        (1, 4, 3, 5),
        (1, 6, 7, 11),
        ((6, 4, 3, 3), (6,)),
    ),
    (
        "ConvTranspose",
        {**TRANSPOSED, "pads": (1, 1, 1, 1), "group": 2},
        (1, 4, 3, 5),
        (1, 6, 6, 10),
        ((6, 2, 3, 3), (6,)),
    ),
    ("ConvTranspose", {**TRANSPOSED, "pads": (0, 0, 1, 1), "group": 1}, (1, 4, 3, 5), (1, 6, 6, 10), ((6, 4, 3, 3),)),
)


@pytest.mark.parametrize("case", CASES, ids=[f"{case[0]}-{index}" for index, case in enumerate(CASES)])
def test_an_operator_gives_what_the_float_run_gives(case: Any) -> None:
    kind, attributes, given, made, constants = case
    rng = np.random.default_rng(3)
    tensors = {
        "x": Tensor(name="x", shape=given, dtype="float32"),
        "y": Tensor(name="y", shape=made, dtype="int64" if kind == "ArgMax" else "float32"),
    }
    for index, shape in enumerate(constants):
        data = rng.normal(size=shape).astype(np.float32)
        tensors[f"c{index}"] = Tensor(name=f"c{index}", shape=shape, dtype="float32", data=data)
    names = ("x", *(f"c{index}" for index in range(len(constants))))
    operator = Operator(kind=kind, name="it", inputs=names, outputs=("y",), attributes=attributes)
    graph = Graph(name="g", layout="nchw", operators=(operator,), tensors=tensors, inputs=("x",), outputs=("y",))
    x = rng.normal(size=given).astype(np.float32)
    (expected,) = FloatRun(graph).run([x])
    with torch.inference_mode():
        (found,) = GraphModule(graph)(torch.from_numpy(x))
        (rounded,) = GraphModule(graph, torch.bfloat16)(torch.from_numpy(x).bfloat16())
    assert found.shape == made and found.numpy().dtype == expected.dtype
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5, rtol=1e-5)
    assert rounded.shape == made and rounded.dtype in (torch.bfloat16, found.dtype)
    if kind != "ArgMax":  # bfloat16 makes ties that float32 has not
        np.testing.assert_allclose(rounded.float().numpy(), expected, atol=0.06 * np.abs(expected).max())


def test_equal_largest_values_give_the_first_place() -> None:
    operator = Operator(
        kind="ArgMax", name="it", inputs=("x",), outputs=("y",), attributes={"axis": 1, "keepdims": True}
    )
    tensors = {
        "x": Tensor(name="x", shape=(1, 19, 8, 8), dtype="float32"),
        "y": Tensor(name="y", shape=(1, 1, 8, 8), dtype="int32"),
    }
    graph = Graph(name="g", layout="nchw", operators=(operator,), tensors=tensors, inputs=("x",), outputs=("y",))
    (found,) = GraphModule(graph)(torch.ones(1, 19, 8, 8))
    assert found.dtype == torch.int32 and found.abs().max() == 0


def test_answers_are_the_caller_s_own(onnx_file: tuple[Path, np.ndarray]) -> None:
    path, x = onnx_file
    session = open_session("torch", path, kernels="eager")
    (first,) = session.run([x])
    kept = first.copy()
    session.run([x + 1])
    np.testing.assert_array_equal(first, kept)
    read_only = x.copy()
    read_only.setflags(write=False)  # torch warns of such memory
    np.testing.assert_array_equal(session.run([read_only])[0], kept)


class Queue:
    """A device whose work takes scripted times, and whose times nobody can read before it has finished."""

    def __init__(self, durations_ns: list[int]) -> None:
        self.durations_ns, self.now_ns, self.pending = durations_ns, 0, 0

    def work(self) -> None:
        self.now_ns += self.durations_ns.pop(0)
        self.pending += 1

    def mark(self) -> int:
        return self.now_ns

    def synchronize(self) -> None:
        self.pending = 0

    def elapsed_ns(self, start: int, end: int) -> int:
        assert self.pending == 0, "read before the device had finished"
        return end - start


def test_the_parts_are_timed_apart_and_read_when_the_device_has_finished() -> None:
    queue = Queue([5, 70, 3])
    queue.pending = 1  # work of somebody else is not counted
    assert device_times(queue, queue.work, queue.work, queue.work) == DeviceTimes(
        to_device_ns=5, compute_ns=70, to_host_ns=3
    )
    assert queue.durations_ns == []


def test_a_device_session_copies_in_computes_and_copies_out() -> None:
    graph, x = network("mobilenet_v2")
    readings = iter([0, 10, 110, 113, 0, 1, 2, 3])
    events = HostEvents(clock=lambda: next(readings))
    session = DeviceMemorySession(graph, GraphModule(graph), "eager", 1, events=events)
    assert isinstance(session, DeviceSession)
    assert session.run_timed([x]) == DeviceTimes(to_device_ns=10, compute_ns=100, to_host_ns=3)
    np.testing.assert_allclose(session.run([x])[0], FloatRun(graph).run([x])[0], atol=1e-4)


def test_what_cannot_run_here_is_one_line(tmp_path: Path) -> None:
    graph, _ = network("mobilenet_v2")
    path = tmp_path / "float.onnx"
    path.write_bytes(onnx_bytes(graph))
    if torch.cuda.is_available():
        pytest.skip("a CUDA device is here")
    for kernels in (name for name in TORCH if name.startswith("cuda")):
        with pytest.raises(EngineError, match=rf"torch: no CUDA device here; kernel set '{kernels}' needs one \(.*\)$"):
            open_session("torch", path, kernels=kernels)


@pytest.mark.data
def test_a_quantized_file_is_left_to_the_integer_simulation(test_data: Path) -> None:
    with pytest.raises(
        EngineError, match=r"vww_96_int8\.tflite: kernel set 'eager': it is quantized; leave the kernel"
    ):
        open_session("torch", test_data / "models" / "vww_96_int8.tflite", kernels="eager")


@pytest.mark.data
def test_a_float_tflite_file_runs_too(test_data: Path) -> None:
    path = test_data / "models" / "vww_96_float.tflite"
    image = np.random.default_rng(6).random((1, 96, 96, 3), dtype=np.float32)
    (output,) = open_session("torch", path, kernels="eager").run([image])
    np.testing.assert_allclose(output, open_session("torch", path).run([image])[0], atol=1e-5)


def test_a_failing_model_is_one_line(tmp_path: Path) -> None:
    """A matrix product of sizes that do not fit: the graph is wrong, and torch says so when it runs."""
    tensors = {
        "x": Tensor(name="x", shape=(2, 3), dtype="float32"),
        "y": Tensor(name="y", shape=(2, 5), dtype="float32"),
        "w": Tensor(name="w", shape=(4, 5), dtype="float32", data=np.zeros((4, 5), np.float32)),
    }
    operator = Operator(kind="MatMul", name="it", inputs=("x", "w"), outputs=("y",))
    graph = Graph(name="g", layout="nchw", operators=(operator,), tensors=tensors, inputs=("x",), outputs=("y",))
    with pytest.raises(
        EngineError, match=r"^torch: the model failed: .*; .*wrong\.onnx with kernel set 'eager'$"
    ) as caught:
        open_native(tmp_path / "wrong.onnx", lambda path: graph, "eager", 1)
    assert "\n" not in str(caught.value)


def test_the_compiler_is_looked_for_where_torch_looks(tmp_path: Path) -> None:
    assert cpp_compiler({"PATH": str(tmp_path)}) is None
    compiler = tmp_path / "clang++"
    compiler.write_text("#!/bin/sh\n")
    compiler.chmod(0o755)
    assert cpp_compiler({"PATH": str(tmp_path)}) == str(compiler)
    assert cpp_compiler({"PATH": "", "CXX": str(compiler)}) == str(compiler)
    check_here("eager")  # needs neither a device nor a compiler


@pytest.mark.slow
@pytest.mark.skipif(cpp_compiler(os.environ) is None, reason="no C++ compiler here")
def test_a_compiled_network_agrees(tmp_path: Path) -> None:
    graph, x = network("mobilenet_v2")
    path = tmp_path / "float.onnx"
    path.write_bytes(onnx_bytes(graph))
    session = open_session("torch", path, kernels="compile")
    (expected,) = open_session("torch", path, kernels="eager").run([x])
    np.testing.assert_allclose(session.run([x])[0], expected, atol=1e-4, rtol=1e-4)
    assert session.info.provider_options["compiled"] == "inductor"


@pytest.mark.gpu
@pytest.mark.parametrize("kernels", ["cuda", "cuda-channels-last", "cuda-fp16", "cuda-bf16", "cuda-fp16-compile"])
def test_a_gpu_agrees_with_the_cpu(onnx_file: tuple[Path, np.ndarray], cuda: str, kernels: str) -> None:
    path, x = onnx_file
    (expected,) = open_session("torch", path, kernels="eager").run([x])
    session = open_session("torch", path, kernels=kernels)
    allowed = difference_allowed_here({"*": 1e-4 * np.abs(expected).max()}, session.info, [expected], [False])
    assert output_difference(expected, session.run([x])[0], class_map=False) <= allowed
    assert session.info.device is not None and isinstance(session, DeviceSession)
    times = session.run_timed([x])
    assert min(times.to_device_ns, times.compute_ns, times.to_host_ns) > 0
