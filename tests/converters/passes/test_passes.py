"""Each pass changes what it says and nothing that the model computes."""

import numpy as np
import onnx

from converters.passes.canonical import canonical
from converters.passes.canonical_int8 import canonical_int8, uint8_activations
from converters.passes.fold_batch_norm import fold_batch_norm
from converters.passes.fold_pad import fold_pad
from converters.passes.integer_boundaries import integer_boundaries
from converters.passes.tie_parameters import tie_parameters
from converters.passes.unshare_constants import unshare_constants
from edge.execution.float_run import run_float
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx


def read(text: str, **constants: np.ndarray) -> Graph:
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {text}')
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(values, name) for name, values in constants.items())
    return read_onnx(proto.SerializeToString())


def kinds(graph: Graph) -> list[str]:
    return [operator.kind for operator in graph.operators]


def values(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def assert_same(before: Graph, after: Graph) -> None:
    x = values(*before.tensors["x"].shape, seed=9)
    np.testing.assert_allclose(run_float(after, [x])["y"], run_float(before, [x])["y"], rtol=1e-5, atol=1e-5)


NORM = {"g": values(4), "o": values(4, seed=2), "m": values(4, seed=3), "v": np.abs(values(4, seed=4))}


def test_batch_norm_folds_into_the_convolution_and_its_rectifier_fuses() -> None:
    text = """net (float[1,3,5,5] x) => (float[1,4,3,3] y) {
        c = Conv(x, w) n = BatchNormalization(c, g, o, m, v) y = Relu(n) }"""
    before = read(text, w=values(4, 3, 3, 3), **NORM)
    after = fold_batch_norm(before)
    assert kinds(after) == ["Conv"] and after.operators[0].attributes["activation"] == "relu"
    assert_same(before, after)


def test_batch_norm_that_cannot_fold_becomes_a_product_and_a_sum() -> None:
    text = "net (float[1,4,3,3] x) => (float[1,4,3,3] y) { r = Relu(x) y = BatchNormalization(r, g, o, m, v) }"
    before = read(text, **NORM)
    after = fold_batch_norm(before)
    assert kinds(after) == ["Relu", "Mul", "Add"]
    assert_same(before, after)


def test_a_convolution_read_twice_keeps_its_own_values() -> None:
    text = """net (float[1,4,3,3] x) => (float[1,4,3,3] y) {
        c = Conv(x, w) n = BatchNormalization(c, g, o, m, v) y = Add(c, n) }"""
    before = read(text, w=values(4, 4, 1, 1), **NORM)
    after = fold_batch_norm(before)
    assert kinds(after) == ["Conv", "Mul", "Add", "Add"]
    assert_same(before, after)


def test_a_zero_pad_folds_into_each_convolution_and_stays_for_others() -> None:
    text = """net (float[1,4,5,5] x) => (float[1,4,6,6] y) {
        p = Pad(x, b) c = Conv<kernel_shape=[1,1]>(p, w) y = Add(c, p) }"""
    before = read(text, w=values(4, 4, 1, 1), b=np.array([0, 0, 0, 1, 0, 0, 1, 0], np.int64))
    after = fold_pad(before)
    conv = next(operator for operator in after.operators if operator.kind == "Conv")
    assert conv.inputs[0] == "x" and conv.attributes["pads"] == (0, 1, 1, 0) and "Pad" in kinds(after)
    assert_same(before, after)


def test_a_pad_with_another_value_does_not_fold() -> None:
    text = "net (float[1,4,5,5] x) => (float[1,4,6,6] y) { p = Pad(x, b, f) y = Conv(p, w) }"
    border = np.array([0, 0, 0, 1, 0, 0, 1, 0], np.int64)
    before = read(text, w=values(4, 4, 1, 1), b=border, f=np.float32(1))
    assert kinds(fold_pad(before)) == ["Pad", "Conv"]


QDQ = """net (float[1,1,4,4] x) => (float[1,2,4,4] y)
<float s = {0.5}, float t = {0.25}, uint8 z = {130}> {
  qx = QuantizeLinear(x, s, z) dx = DequantizeLinear(qx, s, z)
  r = Relu(dx) qr = QuantizeLinear(r, t, z) dr = DequantizeLinear(qr, t, z)
  c = Concat<axis=1>(dx, dr) qc = QuantizeLinear(c, t, z) y = DequantizeLinear(qc, t, z) }"""


def test_uint8_becomes_int8_with_the_same_scales_and_comes_back() -> None:
    before = read(QDQ)
    after = canonical_int8(before)
    for name, tensor in before.tensors.items():
        if tensor.quantization is not None:
            shifted = after.tensors[name]
            assert shifted.dtype == "int8" and shifted.quantization is not None
            assert shifted.quantization.zero_point[0] == tensor.quantization.zero_point[0] - 128
            assert shifted.quantization.scale[0] == tensor.quantization.scale[0]
    again = uint8_activations(after)
    assert {name: tensor.dtype for name, tensor in again.tensors.items()} == {
        name: tensor.dtype for name, tensor in before.tensors.items()
    }


def test_the_boundaries_become_integers() -> None:
    before = read(QDQ)
    after = integer_boundaries(before)
    assert kinds(before) == ["Quantize", "Relu", "Concat", "Dequantize"] and kinds(after) == ["Relu", "Concat"]
    assert (after.inputs, after.outputs) == (("qx",), ("qc",))


def test_tied_operators_get_equal_parameters_through_a_quantize() -> None:
    after = tie_parameters(integer_boundaries(read(QDQ)))
    assert kinds(after) == ["Relu", "Quantize", "Quantize", "Concat"]
    for operator in after.operators:
        if operator.kind != "Quantize":
            parameters = [after.tensors[name].quantization for name in (*operator.inputs, *operator.outputs)]
            assert all(entry is not None and entry.same_as(parameters[0]) for entry in parameters)


def test_the_canonical_form_is_stable() -> None:
    once = canonical(read(QDQ))
    again = canonical(once)
    assert [operator.name for operator in again.operators] == [operator.name for operator in once.operators]
    assert set(again.tensors) == set(once.tensors)


def test_layers_that_share_a_bias_get_their_own() -> None:
    text = "net (float[1,4,3,3] x) => (float[1,4,3,3] y) { c = Conv(x, w, b) d = Conv(c, w, b) y = Conv(d, u) }"
    before = read(text, w=values(4, 4, 1, 1), u=values(4, 4, 1, 1, seed=2), b=values(4))
    after = unshare_constants(before)
    assert [operator.inputs[1:] for operator in after.operators] == [("w", "b"), ("w_2", "b_2"), ("u", "")]
    assert_same(before, after)
