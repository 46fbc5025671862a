"""A batch norm between Dequantize and Quantize becomes one integer convolution with the file's parameters."""

import numpy as np
import onnx
import pytest

from converters.convert.foreign import read_foreign
from converters.passes.canonical import canonical
from converters.passes.layout.nhwc import to_nhwc
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from tests.support.one_operator import litert_outputs

F32 = np.float32
BODY = """
  q = QuantizeLinear(x, s, z) r = DequantizeLinear(q, s, z) n = BatchNormalization(r, gamma, beta, mean, variance)
  o = QuantizeLinear(n, t, z) y = DequantizeLinear(o, t, z)
"""
CONSTANTS = {
    "gamma": np.array([1.5, -0.25, 0.0, 3.0]),
    "beta": np.array([0.5, -1.0, 0.25, 0.0]),
    "mean": np.array([0.1, 0.2, -0.3, 2.0]),
    "variance": np.array([1.0, 0.25, 4.0, 2.0]),
    "s": np.array(0.03),
    "t": np.array(0.05),
}


@pytest.fixture(params=["int8", "uint8"])
def data(request: pytest.FixtureRequest) -> bytes:
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 17]> main (float[1,4,8,8] x) => (float[1,4,8,8] y) {{ {BODY} }}'
    )
    for name, values in CONSTANTS.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(values.astype(F32), name))
    zero = np.array(-7 if request.param == "int8" else 121, request.param)
    model.graph.initializer.append(onnx.numpy_helper.from_array(zero, "z"))
    serialized: bytes = model.SerializeToString()
    return serialized


def check(graph: Graph) -> None:
    assert [operator.kind for operator in graph.operators] == ["Conv"]
    raw = np.random.default_rng(0).integers(-128, 128, (1, 4, 8, 8)).astype(np.int8)
    (found,) = IntegerSimulation(graph).run([raw])
    output, _ = litert_outputs(to_nhwc(graph), [np.ascontiguousarray(raw.transpose(0, 2, 3, 1))])
    assert np.array_equal(output[0].transpose(0, 3, 1, 2), found)
    gamma, beta, mean, variance = (CONSTANTS[name].reshape(4, 1, 1) for name in ("gamma", "beta", "mean", "variance"))
    real = ((raw + 7.0) * 0.03 - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    assert np.abs(found - np.clip(real / 0.05 - 7, -128, 127)).max() < 0.55


def test_the_file_is_one_convolution_that_litert_computes_exactly(data: bytes) -> None:
    check(canonical(read_onnx(data)))


def test_a_foreign_file_needs_no_range_for_it(data: bytes, tmp_path) -> None:
    (tmp_path / "norm.onnx").write_bytes(data)
    foreign = read_foreign(tmp_path / "norm.onnx")
    assert foreign.derived == ()
    check(foreign.graph)
