"""ONNX Runtime runs this form in integer kernels throughout, with the parameters of the source."""

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

from converters.onnxruntime.form import clamp_limits, onnxruntime_form
from converters.passes.canonical_int8 import canonical_int8
from edge.engines.onnx_providers import EXACT_SUMS
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph, Operator, Tensor, per_tensor
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.passes.rewrite import rebuild
from edge.quantization.ptq.calibrate import calibrate

NET = """<ir_version: 8, opset_import: ["": 17]> net (float[1,3,16,16] x) => (float[1,5] y) {
  c1 = Conv<pads=[0,0,1,1], strides=[2,2]>(x, w1, b1)
  r1 = Clip(c1, low, high)
  c2 = Conv<pads=[1,1,1,1], group=8>(r1, w2, b2)
  r2 = Relu(c2)
  p = AveragePool<kernel_shape=[4,4], strides=[4,4]>(r2)
  u = Resize<mode="linear">(p, , , s8)
  c3 = Conv(r2, w3, b3)
  a = Add(c3, r1)
  j = Concat<axis=1>(a, u)
  c4 = Conv(j, w4, b4)
  g = GlobalAveragePool(c4)
  f = Flatten(g)
  y = Gemm<transB=1>(f, w5, b5)
}"""


@pytest.fixture(scope="module")
def graph() -> Graph:
    proto = onnx.parser.parse_model(NET)
    rng = np.random.default_rng(0)
    shapes = {"w1": (8, 3, 3, 3), "w2": (8, 1, 3, 3), "w3": (8, 8, 1, 1), "w4": (5, 16, 1, 1), "w5": (5, 5)}
    shapes |= {"b1": (8,), "b2": (8,), "b3": (8,), "b4": (5,), "b5": (5,)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    arrays |= {"low": np.array(0, np.float32), "high": np.array(6, np.float32), "s8": np.array([1, 8, 8, 8])}
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in arrays.items())
    read = read_onnx(proto.SerializeToString())
    return calibrate(read, [rng.normal(size=(4, 3, 16, 16)).astype(np.float32)], estimator="minmax")


def session(data: bytes, optimized: Path | None = None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.add_session_config_entry(*EXACT_SUMS)
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run(data: bytes, *inputs: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    opened = session(data)
    feeds = {entry.name: value for entry, value in zip(opened.get_inputs(), inputs, strict=True)}
    return np.asarray(opened.run(None, feeds)[0]).astype(np.int64)


def test_every_operator_but_sums_resizes_and_average_pools_runs_in_an_integer_kernel(
    graph: Graph, tmp_path: Path
) -> None:
    session(onnxruntime_form(graph), tmp_path / "optimized.onnx")
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert kinds["QLinearConv"] == 4 and kinds["QGemm"] == 1
    assert kinds["QLinearGlobalAveragePool"] == kinds["QLinearConcat"] == 1
    assert not {"Conv", "FusedConv", "Gemm", "Concat", "Relu"}.intersection(kinds)
    assert kinds["DequantizeLinear"] == kinds["QuantizeLinear"] == 0
    assert kinds["AveragePool"] == 1


def described(graph: Graph) -> list[tuple[object, ...]]:
    """Operators without their rectifiers: one that the range of uint8 implies is not written."""
    return [
        (entry.kind, entry.inputs, entry.outputs, {**entry.attributes, "activation": ""}) for entry in graph.operators
    ]


def test_it_reads_back_as_the_source_shifted_by_128(graph: Graph) -> None:
    read = read_onnx(onnxruntime_form(graph))
    assert described(read) == described(graph)
    shifted = canonical_int8(read)
    for name, tensor in graph.tensors.items():
        assert tensor.quantization is None or tensor.quantization.same_as(shifted.tensors[name].quantization), name
        assert tensor.data is not None or read.tensors[name].dtype == "uint8"


def test_each_operator_alone_gives_the_simulations_integers(graph: Graph) -> None:
    """Zero quanta for all but the linear Resize and the Add, whose weights are floats: at most one quantum there."""
    x = np.random.default_rng(3).integers(-128, 128, (1, 3, 16, 16)).astype(np.int8)
    expected = IntegerSimulation(graph).run_all([x])
    for operator in graph.operators:
        inputs = tuple(name for name in operator.inputs if name and graph.tensors[name].data is None)
        alone = rebuild(graph, [operator], inputs=inputs, outputs=operator.outputs)
        feeds = [(np.asarray(expected[name]).astype(np.int64) + 128).astype(np.uint8) for name in inputs]
        difference = np.abs(run(onnxruntime_form(alone), *feeds) - 128 - np.asarray(expected[operator.outputs[0]]))
        inexact = operator.kind in ("Resize", "Add")
        assert difference.max() <= (1 if inexact else 0), operator.name


def test_a_resize_to_twice_the_size_is_exact(graph: Graph) -> None:
    resize = next(operator for operator in graph.operators if operator.kind == "Resize")
    alone = rebuild(graph, [resize], inputs=resize.inputs, outputs=resize.outputs)
    x = np.random.default_rng(0).integers(0, 256, alone.tensors[resize.inputs[0]].shape).astype(np.uint8)
    simulated = IntegerSimulation(alone).run([(x.astype(np.int64) - 128).astype(np.int8)])[0]
    np.testing.assert_array_equal(run(onnxruntime_form(alone), x) - 128, np.asarray(simulated))


def test_a_rectifier_that_the_range_implies_is_left_to_the_range() -> None:
    tensor = Tensor(name="t", shape=(1,), dtype="uint8", quantization=per_tensor(6 / 255, 0))
    assert clamp_limits(tensor, "relu6") == clamp_limits(tensor, "relu") == (0, 255)
    wide = Tensor(name="t", shape=(1,), dtype="uint8", quantization=per_tensor(0.1, 100))
    assert clamp_limits(wide, "relu") == (100, 255) and clamp_limits(wide, "relu6") == (100, 160)


@pytest.mark.parametrize(("kernel", "pads"), [((2, 2), (0, 0, 0, 0)), ((3, 2), (0, 0, 0, 0)), ((3, 4), (1, 1, 1, 1))])
def test_an_average_pool_rounds_ties_as_the_simulation_does(kernel: tuple[int, int], pads: tuple[int, ...]) -> None:
    x = Tensor(name="x", shape=(1, 4, 12, 12), dtype="int8", quantization=per_tensor(0.5, -7))
    size = [(12 + pads[axis] + pads[axis + 2] - kernel[axis]) + 1 for axis in range(2)]
    y = Tensor(name="y", shape=(1, 4, *size), dtype="int8", quantization=per_tensor(0.5, -7))
    attributes = {"kernel": kernel, "strides": (1, 1), "pads": pads, "count_include_pad": False, "activation": "none"}
    pool = Operator(kind="AveragePool", name="pool", inputs=("x",), outputs=("y",), attributes=attributes)
    tensors = {"x": x, "y": y}
    graph = Graph(name="g", layout="nchw", operators=(pool,), tensors=tensors, inputs=("x",), outputs=("y",))
    values = np.random.default_rng(0).integers(-6, 6, x.shape).astype(np.int8)
    found = run(onnxruntime_form(graph), (values.astype(np.int64) + 128).astype(np.uint8)) - 128
    np.testing.assert_array_equal(found, np.asarray(IntegerSimulation(graph).run([values])[0]))
