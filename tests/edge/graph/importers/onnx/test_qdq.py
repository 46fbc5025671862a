"""Reading QDQ files of other tools: the graph has the file's own integers and parameters."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from converters.onnx.file import onnx_bytes
from converters.passes.canonical import canonical
from edge.errors import ModelFileError
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from tests.support.onnx_session import cpu_session

NET = """<ir_version: 8, opset_import: ["": 17]> net (float[1,3,8,8] x) => (float[1,5] y) {
  c1 = Conv<pads=[0,0,1,1], strides=[2,2], kernel_shape=[3,3]>(x, w1, b1)
  r1 = Clip(c1, low, high)
  c2 = Conv<pads=[1,1,1,1], group=8, kernel_shape=[3,3]>(r1, w2, b2)
  r2 = Relu(c2)
  c3 = Conv<kernel_shape=[1,1]>(r2, w3, b3)
  s = Add(c3, r1)
  g = GlobalAveragePool(s)
  f = Flatten(g)
  y = Gemm<transB=1>(f, w4, b4)
}"""


class Reader(CalibrationDataReader):
    """Ten random images."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        self.feeds: Iterator[dict[str, Any]] = iter(
            [{"x": rng.normal(size=(1, 3, 8, 8)).astype(np.float32)} for _ in range(10)]
        )

    def get_next(self) -> dict[str, Any] | None:
        return next(self.feeds, None)


def float_net() -> onnx.ModelProto:
    proto = onnx.parser.parse_model(NET)
    rng = np.random.default_rng(0)
    shapes = {"w1": (8, 3, 3, 3), "w2": (8, 1, 3, 3), "w3": (8, 8, 1, 1), "w4": (5, 8)}
    shapes |= {"b1": (8,), "b2": (8,), "b3": (8,), "b4": (5,)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    arrays |= {"low": np.array(0, np.float32), "high": np.array(6, np.float32)}
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in arrays.items())
    return proto


@pytest.fixture(scope="module", params=[QuantType.QUInt8, QuantType.QInt8], ids=["uint8", "int8"])
def quantized(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("qdq")
    onnx.save(float_net(), folder / "float.onnx")
    quantize_static(
        folder / "float.onnx",
        folder / "qdq.onnx",
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=request.param,
        weight_type=QuantType.QInt8,
        extra_options={"ActivationSymmetric": False},
    )
    return Path(folder / "qdq.onnx").read_bytes()


def run(data: bytes, value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Node by node, without ONNX Runtime's fusions: the arithmetic that the file spells out."""
    session = cpu_session(data, as_it_stands=True)
    return np.asarray(session.run(None, {session.get_inputs()[0].name: value})[0])


def file_parameters(data: bytes) -> dict[str, tuple[float, int]]:
    """Scale and zero point of every per-tensor QuantizeLinear, as the file has them."""
    proto = onnx.load_from_string(data)
    constants = {entry.name: onnx.numpy_helper.to_array(entry) for entry in proto.graph.initializer}
    nodes = [node for node in proto.graph.node if node.op_type == "QuantizeLinear"]
    return {node.output[0]: (float(constants[node.input[1]]), int(constants[node.input[2]])) for node in nodes}


def inner(graph: Graph) -> list[str]:
    return [operator.kind for operator in graph.operators if operator.kind not in ("Quantize", "Dequantize")]


def test_a_quantizers_file_reads_as_integer_operators(quantized: bytes) -> None:
    graph = read_onnx(quantized)
    assert inner(graph) == ["Conv", "Conv", "Conv", "Add", "Mean", "Reshape", "Gemm"]
    ends = [operator.kind for operator in graph.operators if operator.kind in ("Quantize", "Dequantize")]
    assert ends == ["Quantize", "Dequantize"]
    for operator in graph.operators:
        if operator.kind in ("Conv", "Gemm"):
            x, weight, bias = (graph.tensors[name] for name in operator.inputs)
            assert weight.dtype == "int8" and bias.dtype == "int32"
            assert x.quantization is not None and weight.quantization is not None and bias.quantization is not None
            assert weight.quantization.axis == 0
            np.testing.assert_array_equal(bias.quantization.scale, x.quantization.scale * weight.quantization.scale)


def test_every_activation_has_the_files_parameters(quantized: bytes) -> None:
    graph = read_onnx(quantized)
    expected = file_parameters(quantized)
    found = {
        name: (float(tensor.quantization.scale[0]), int(tensor.quantization.zero_point[0]))
        for name, tensor in graph.tensors.items()
        if tensor.quantization is not None and tensor.data is None
    }
    assert found and found.items() <= expected.items()


def test_writing_what_was_read_computes_the_same(quantized: bytes) -> None:
    value = np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype(np.float32)
    graph = read_onnx(quantized)
    np.testing.assert_array_equal(run(onnx_bytes(graph), value), run(quantized, value))


def test_the_canonical_form_has_int8_inputs_and_outputs_and_the_same_integers(quantized: bytes) -> None:
    value = np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype(np.float32)
    graph = canonical(read_onnx(quantized))
    x, y = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    assert (x.dtype, y.dtype) == ("int8", "int8") and x.quantization is not None and y.quantization is not None
    integers = np.clip(np.rint(value / x.quantization.scale) + x.quantization.zero_point, -128, 127).astype(np.int8)
    simulated = np.asarray(IntegerSimulation(graph).run([integers])[0]).astype(np.int64)
    reals = (simulated - y.quantization.zero_point) * y.quantization.scale
    steps = np.abs(reals - run(quantized, value)) / y.quantization.scale
    assert steps.max() <= 2.01
    assert (steps < 0.01).mean() > 0.5


def test_a_float_bias_becomes_int32_in_the_convolutions_scale() -> None:
    text = """<ir_version: 8, opset_import: ["": 17]> net (uint8[1,1,2,2] x) => (uint8[1,1,2,2] y)
    <float sx = {0.5}, uint8 zx = {3}, float sw = {0.25}, int8 zw = {0}, float[1] b = {1.3}> {
      xr = DequantizeLinear(x, sx, zx)
      wr = DequantizeLinear(w, sw, zw)
      c = Conv(xr, wr, b)
      r = Relu(c)
      y = QuantizeLinear(r, sx, zx) }"""
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.full((1, 1, 1, 1), 7, np.int8), "w"))
    graph = read_onnx(proto.SerializeToString())
    assert [operator.kind for operator in graph.operators] == ["Conv"]
    assert graph.operators[0].attributes["activation"] == "relu"
    bias = graph.tensors[graph.operators[0].inputs[2]]
    assert bias.dtype == "int32" and graph.constant(bias.name).tolist() == [10]  # 1.3 / 0.125 = 10.4


def test_a_moving_operator_between_float_and_integers_becomes_an_integer_one() -> None:
    text = """<ir_version: 8, opset_import: ["": 17]> net (int8[1,4,2,2] x) => (float[1,16] y)
    <float s = {0.5}, int8 z = {3}> {
      r = DequantizeLinear(x, s, z)
      m = MaxPool<kernel_shape=[1,1]>(r)
      y = Flatten(m) }"""
    graph = read_onnx(onnx.parser.parse_model(text).SerializeToString())
    assert [operator.kind for operator in graph.operators] == ["MaxPool", "Reshape", "Dequantize"]
    assert graph.tensors[graph.operators[1].outputs[0]].dtype == "int8"


def test_a_change_of_parameters_stays_as_a_quantize_of_integers() -> None:
    text = """<ir_version: 8, opset_import: ["": 17]> net (int8[1,4] x) => (int8[1,4] y)
    <float s = {0.5}, float t = {0.25}, int8 z = {3}> {
      r = DequantizeLinear(x, s, z)
      y = QuantizeLinear(r, t, z) }"""
    graph = read_onnx(onnx.parser.parse_model(text).SerializeToString())
    assert [(operator.kind, operator.inputs) for operator in graph.operators] == [("Quantize", ("x",))]
    assert read_onnx(onnx_bytes(graph)).operators[0].inputs == ("x",)


def test_integers_read_with_two_scales_are_refused() -> None:
    text = """<ir_version: 8, opset_import: ["": 17]> net (int8[1,4] x) => (float[1,4] y)
    <float s = {0.5}, float t = {0.25}, int8 z = {3}> {
      a = DequantizeLinear(x, s, z)
      b = DequantizeLinear(x, t, z)
      y = Add(a, b) }"""
    with pytest.raises(ModelFileError, match="the integers of 'x' with two different scales"):
        read_onnx(onnx.parser.parse_model(text).SerializeToString())


def test_a_quantized_constant_is_transposed_with_its_axis() -> None:
    text = """<ir_version: 8, opset_import: ["": 17]> net (int8[1,2] x) => (int8[1,3] y)
    <float s = {0.5}, int8 z = {3}, int8 zw = {0}> {
      r = DequantizeLinear(x, s, z)
      d = DequantizeLinear<axis=0>(w, sw, zs)
      t = Transpose<perm=[1,0]>(d)
      m = MatMul(r, t)
      y = QuantizeLinear(m, s, z) }"""
    proto = onnx.parser.parse_model(text)
    weight = np.array([[1, 2], [3, 4], [5, 6]], np.int8)
    arrays = {"w": weight, "sw": np.array([0.5, 0.25, 0.125], np.float32), "zs": np.zeros(3, np.int8)}
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in arrays.items())
    graph = read_onnx(proto.SerializeToString())
    assert [operator.kind for operator in graph.operators] == ["Gemm"]
    read = graph.tensors[graph.operators[0].inputs[1]]
    np.testing.assert_array_equal(graph.constant(read.name), weight)
    assert read.quantization is not None and read.quantization.axis == 0
    assert read.quantization.scale.tolist() == [0.5, 0.25, 0.125]
