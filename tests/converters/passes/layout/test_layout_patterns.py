"""What exporters write around Reshape and Transpose becomes a TFLite file without TRANSPOSE that computes the same."""

import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest

from converters.passes.canonical import canonical
from converters.passes.layout.nhwc import to_nhwc_with_reasons
from converters.tflite.writer import tflite_bytes
from edge.engines.litert import open_litert
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite
from tests.support.onnx_session import cpu_session

Arrays = Mapping[str, np.ndarray]


def values(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def sizes(*shape: int) -> np.ndarray:
    return np.array(shape, np.int64)


def model(body: str, x: str, outputs: str, constants: Arrays) -> bytes:
    text = f'<ir_version: 8, opset_import: ["": 17]> net (float[{x}] x) => ({outputs}) {{ {body} }}'
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in constants.items())
    data: bytes = proto.SerializeToString()
    return data


def assert_converts(data: bytes, *, transposes: int, channels_last_input: bool = False) -> Graph:
    """Convert, count the TRANSPOSE operators of the file, and compare LiteRT's outputs with ONNX Runtime's."""
    nhwc, needed = to_nhwc_with_reasons(canonical(read_onnx(data)))
    file = tflite_bytes(nhwc)
    written = read_tflite(file)
    found = Counter(operator.source for operator in written.operators)
    assert found["TRANSPOSE"] == transposes == len(needed), [entry.reason for entry in needed]
    reference = cpu_session(data)
    shape = reference.get_inputs()[0].shape
    x = values(*shape, seed=7)
    expected = reference.run(None, {"x": x})
    feed = x.transpose(0, 2, 3, 1) if x.ndim == 4 and not channels_last_input else x
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(file)
        outputs = open_litert(path).run([np.ascontiguousarray(feed)])
    for wanted, output in zip(expected, outputs, strict=True):
        same = wanted.transpose(0, 2, 3, 1) if wanted.ndim == 4 and not channels_last_input else wanted
        np.testing.assert_allclose(output, same, rtol=1e-4, atol=1e-5)
    return written


CONV = values(8, 3, 3, 3)
PATTERNS: Mapping[str, tuple[str, str, str, Arrays]] = {
    "concat of every axis": (
        "a = Relu(x) b = Concat<axis=1>(x, a) c = Concat<axis=2>(b, b) y = Concat<axis=3>(c, c)",
        "1,3,4,6",
        "float[1,6,8,12] y",
        {},
    ),
    "flatten before linear": (
        "c = Conv(x, w) f = Flatten(c) y = Gemm<transB=1>(f, v)",
        "1,3,6,5",
        "float[1,7] y",
        {"w": CONV, "v": values(7, 96)},
    ),
    "flatten, batch norm, relu, linear": (
        "c = Conv(x, w) f = Flatten(c) n = BatchNormalization(f, g, b, m, g) r = Relu(n) y = Gemm<transB=1>(r, v)",
        "1,3,6,5",
        "float[1,7] y",
        {"w": CONV, "v": values(7, 96), "g": np.abs(values(96)) + 1, "b": values(96), "m": values(96, seed=3)},
    ),
    "two branches flattened, joined, linear": (
        "c = Conv(x, w) f = Flatten(c) g = Flatten(x) j = Concat<axis=1>(f, g) h = Mul(j, s) y = Gemm<transB=1>(h, v)",
        "1,3,6,5",
        "float[1,7] y",
        {"w": CONV, "v": values(7, 186), "s": values(1, 186)},
    ),
    "global pool, squeeze, linear": (
        "c = Conv(x, w) p = GlobalAveragePool(c) s = Squeeze(p, a) y = Gemm<transB=1>(s, v)",
        "1,3,6,5",
        "float[1,7] y",
        {"w": CONV, "v": values(7, 8), "a": sizes(2, 3)},
    ),
    "mean without keeping axes, linear": (
        "c = Conv(x, w) m = ReduceMean<axes=[2,3], keepdims=0>(c) y = Gemm<transB=1>(m, v)",
        "1,3,6,5",
        "float[1,7] y",
        {"w": CONV, "v": values(7, 8)},
    ),
    "softmax and argmax over channels": (
        "c = Conv(x, w) s = Softmax<axis=1>(c) a = ArgMax<axis=1, keepdims=0>(c) y = Relu(s)",
        "1,3,6,5",
        "float[1,8,4,3] y, int64[1,4,3] a",
        {"w": CONV},
    ),
    "split of channels": (
        "c = Conv(x, w) a, b = Split<axis=1>(c) s = Sigmoid(b) y = Mul(a, s)",
        "1,3,6,5",
        "float[1,4,4,3] y",
        {"w": CONV},
    ),
    "squeeze and excite with linear layers": (
        "c = Conv(x, w) m = ReduceMean<axes=[2,3], keepdims=0>(c) d = Gemm<transB=1>(m, v) r = Relu(d) "
        "e = Gemm<transB=1>(r, u) g = Sigmoid(e) h = Reshape(g, s) y = Mul(c, h)",
        "1,3,6,5",
        "float[1,8,4,3] y",
        {"w": CONV, "v": values(2, 8), "u": values(8, 2), "s": sizes(1, 8, 1, 1)},
    ),
    "squeeze and excite by the last axes": (
        "c = Conv(x, w) m = GlobalAveragePool(c) g = Sigmoid(m) q = Squeeze(g, a) k = Unsqueeze(q, a) y = Mul(k, c)",
        "1,3,6,5",
        "float[1,8,4,3] y",
        {"w": CONV, "a": sizes(2, 3)},
    ),
    "upsample and add in several branches": (
        "c = Conv(x, w) p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(c) "
        'u = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">(p, e, z) '
        "a = Add(u, c) b = Concat<axis=1>(a, c) y = Softmax<axis=1>(b)",
        "1,3,6,6",
        "float[1,16,4,4] y",
        {"w": CONV, "e": np.zeros(0, np.float32), "z": np.array([1, 1, 2, 2], np.float32)},
    ),
    "detection heads: permute, reshape, concat": (
        "c = Conv(x, w) d = MaxPool<kernel_shape=[2,2], strides=[2,2]>(c) "
        "p = Transpose<perm=[0,2,3,1]>(c) q = Transpose<perm=[0,2,3,1]>(d) "
        "r = Reshape(p, s) t = Reshape(q, s) j = Concat<axis=1>(r, t) y = Softmax<axis=2>(j)",
        "1,3,6,6",
        "float[1,40,4] y",
        {"w": CONV, "s": sizes(1, -1, 4)},
    ),
    "spatial axes merged and taken apart": (
        "c = Conv(x, w) r = Reshape(c, s) n = Softmax<axis=1>(r) b = Mul(n, k) y = Reshape(b, t)",
        "1,3,6,5",
        "float[1,8,4,3] y",
        {"w": CONV, "s": sizes(1, 8, 12), "k": values(8, 1), "t": sizes(1, 8, 4, 3)},
    ),
    "tokens: spatial axes merged, channels last": (
        "c = Conv(x, w) r = Reshape(c, s) t = Transpose<perm=[0,2,1]>(r) y = MatMul(t, v)",
        "1,3,6,5",
        "float[1,12,5] y",
        {"w": CONV, "s": sizes(1, 8, 12), "v": values(8, 5)},
    ),
    "groups of channels": (
        "c = Conv(x, w) r = Reshape(c, s) m = ReduceMean<axes=[2], keepdims=1>(r) d = Sub(r, m) y = Reshape(d, t)",
        "1,3,6,5",
        "float[1,8,4,3] y",
        {"w": CONV, "s": sizes(1, 2, 4, 4, 3), "t": sizes(1, 8, 4, 3)},
    ),
    "pixel shuffle, channels of a block first": (
        "c = Conv(x, w) r = Reshape(c, s) t = Transpose<perm=[0,3,4,1,5,2]>(r) y = Reshape(t, u)",
        "1,3,6,5",
        "float[1,2,8,6] y",
        {"w": CONV, "s": sizes(1, 2, 2, 2, 4, 3), "u": sizes(1, 2, 8, 6)},
    ),
    "space to depth": (
        "c = Conv(x, w) r = Reshape(c, s) t = Transpose<perm=[0,3,5,1,2,4]>(r) y = Reshape(t, u)",
        "1,3,6,6",
        "float[1,32,2,2] y",
        {"w": CONV, "s": sizes(1, 8, 2, 2, 2, 2), "u": sizes(1, 32, 2, 2)},
    ),
    "a pointwise operator between two permutes": (
        "c = Conv(x, w) p = Transpose<perm=[0,2,3,1]>(c) l = Mul(p, g) r = Relu(l) y = Transpose<perm=[0,3,1,2]>(r)",
        "1,3,6,5",
        "float[1,8,4,3] y",
        {"w": CONV, "g": values(8)},
    ),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_no_transpose_is_left(name: str) -> None:
    assert_converts(model(*PATTERNS[name]), transposes=0)


def test_boundaries_of_a_tensorflow_export_are_those_of_the_tensorflow_model() -> None:
    body = (
        "s = Mul(x, k) i = Transpose<perm=[0,3,1,2]>(s) c = Conv(i, w) r = Relu(c) "
        "o = Transpose<perm=[0,2,3,1]>(r) y = Softmax<axis=3>(o)"
    )
    data = model(body, "1,6,5,3", "float[1,4,3,8] y", {"w": CONV, "k": values(3)})
    written = assert_converts(data, transposes=0, channels_last_input=True)
    assert written.tensors[written.inputs[0]].shape == (1, 6, 5, 3)
    assert written.tensors[written.outputs[0]].shape == (1, 4, 3, 8)


# What really moves values keeps one TRANSPOSE, as few as the mathematics allows.
NEEDED: Mapping[str, tuple[str, str, str, Arrays]] = {
    "channel shuffle": (
        "c = Conv(x, w) r = Reshape(c, s) t = Transpose<perm=[0,2,1,3,4]>(r) u = Reshape(t, v) y = Relu(u)",
        "1,3,6,5",
        "float[1,8,4,3] y",
        {"w": CONV, "s": sizes(1, 2, 4, 4, 3), "v": sizes(1, 8, 4, 3)},
    ),
    "flattened output": ("c = Conv(x, w) y = Flatten(c)", "1,3,6,5", "float[1,96] y", {"w": CONV}),
    "softmax over rows": (
        "c = Conv(x, w) s = Softmax<axis=2>(c) y = ReduceMean<axes=[1,2,3], keepdims=0>(s)",
        "1,3,6,5",
        "float[1] y",
        {"w": CONV},
    ),
}


@pytest.mark.parametrize("name", NEEDED)
def test_one_transpose_stays_where_values_must_move(name: str) -> None:
    assert_converts(model(*NEEDED[name]), transposes=1)


def test_the_reason_names_the_operator_and_the_axes() -> None:
    _, needed = to_nhwc_with_reasons(canonical(read_onnx(model(*NEEDED["channel shuffle"]))))
    assert [entry.reason for entry in needed] == ["Reshape merges the axes 1, 2 of 1x4x2x4x3 in this order"]


def test_tensors_stored_differently_are_joined_in_the_order_that_moves_least() -> None:
    body = "c = Conv(x, w) g = Gemm(l, v) h = Reshape(g, s) y = Concat<axis=1>(h, c, c)"
    body = body.replace("Gemm(l, v)", "Gemm<transB=1>(f, v)").replace(
        "g =", "m = GlobalAveragePool(c) f = Flatten(m) g ="
    )
    data = model(body, "1,3,6,5", "float[1,18,4,3] y", {"w": CONV, "v": values(24, 8), "s": sizes(1, 2, 4, 3)})
    assert_converts(data, transposes=1)
