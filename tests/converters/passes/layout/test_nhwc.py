"""NHWC graphs compute the same, and hold a Transpose only where values must really move."""

import numpy as np
import onnx
import pytest

from converters.passes.layout.nhwc import to_nhwc, to_nhwc_with_reasons
from edge.errors import UnsupportedError
from edge.execution.float_run import run_float
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx


def graph(body: str, *, output: str, **constants: np.ndarray) -> Graph:
    text = f'<ir_version: 8, opset_import: ["": 17]> net (float[1,3,4,6] x) => ({output} y) {{ {body} }}'
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(values, name) for name, values in constants.items())
    return read_onnx(proto.SerializeToString())


def assert_same(nchw: Graph, nhwc: Graph) -> None:
    x = np.random.default_rng(0).normal(size=nchw.tensors["x"].shape).astype(np.float32)
    expected = np.asarray(run_float(nchw, [x])["y"])
    found = np.asarray(run_float(nhwc, [np.ascontiguousarray(x.transpose(0, 2, 3, 1))])["y"])
    assert nhwc.outputs == ("y",) and found.shape == nhwc.tensors["y"].shape
    np.testing.assert_allclose(found, expected.transpose(0, 2, 3, 1) if expected.ndim == 4 else expected, atol=1e-5)


def kinds(graph: Graph) -> list[str]:
    return [operator.kind for operator in graph.operators]


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def test_flatten_before_gemm_moves_into_the_weights_columns() -> None:
    nchw = graph("f = Flatten(x) y = Gemm<transB=1>(f, w)", output="float[1,5]", w=values(5, 72))
    nhwc, needed = to_nhwc_with_reasons(nchw)
    assert kinds(nhwc) == ["Reshape", "Gemm"] and not needed
    assert_same(nchw, nhwc)


def test_flatten_after_a_global_pool_needs_nothing() -> None:
    nchw = graph(
        "g = GlobalAveragePool(x) f = Flatten(g) y = Gemm<transB=1>(f, w)", output="float[1,5]", w=values(5, 3)
    )
    nhwc = to_nhwc(nchw)
    assert kinds(nhwc) == ["Mean", "Reshape", "Gemm"]
    assert nhwc.operators[0].attributes["axes"] == (1, 2) and nhwc.operators[2].inputs[1] == "w"
    assert_same(nchw, nhwc)


def test_a_transpose_to_channels_last_vanishes() -> None:
    body = "r = Relu(x) t = Transpose<perm=[0,2,3,1]>(r) y = Reshape(t, s)"
    nchw = graph(body, output="float[1,24,3]", s=np.array([1, 24, 3], np.int64))
    nhwc, needed = to_nhwc_with_reasons(nchw)
    assert kinds(nhwc) == ["Relu", "Reshape"] and not needed
    assert_same(nchw, nhwc)


def test_two_transposes_that_undo_each_other_vanish() -> None:
    body = "t = Transpose<perm=[0,2,3,1]>(x) r = Relu(t) y = Transpose<perm=[0,3,1,2]>(r)"
    nchw = graph(body, output="float[1,3,4,6]")
    assert kinds(to_nhwc(nchw)) == ["Relu"]
    assert_same(nchw, to_nhwc(nchw))


def test_a_needed_transpose_is_told_with_its_reason() -> None:
    nchw = graph("y = Reshape(x, s)", output="float[1,72]", s=np.array([1, 72], np.int64))
    nhwc, needed = to_nhwc_with_reasons(nchw)
    assert kinds(nhwc) == ["Transpose", "Reshape"]
    reason = "Reshape merges the axes 1, 2, 3 of 1x3x4x6 in this order"
    assert [(entry.tensor, entry.reason) for entry in needed] == [("x", reason)]
    assert_same(nchw, nhwc)


@pytest.mark.parametrize(
    ("body", "output"),
    [
        ("s = Softmax<axis=1>(x) y = Concat<axis=1>(x, s)", "float[1,6,4,6]"),
        ("y = ReduceMean<axes=[2], keepdims=0>(x)", "float[1,3,6]"),
        ("y = ReduceMean<axes=[1], keepdims=0>(x)", "float[1,4,6]"),
        ("y = Transpose<perm=[0,1,3,2]>(x)", "float[1,3,6,4]"),
        ("t = Transpose<perm=[0,1,3,2]>(x) u = Transpose<perm=[0,1,3,2]>(t) y = Add(x, u)", "float[1,3,4,6]"),
        ("m = ReduceMean<axes=[0], keepdims=0>(x) y = Mul(x, m)", "float[1,3,4,6]"),
        ("m = ReduceMean<axes=[2,3], keepdims=1>(x) y = Mul(x, m)", "float[1,3,4,6]"),
    ],
)
def test_axes_are_renumbered(body: str, output: str) -> None:
    nchw = graph(body, output=output)
    assert_same(nchw, to_nhwc(nchw))


def test_a_channel_vector_is_laid_along_the_last_axis() -> None:
    nchw = graph("y = Add(x, c)", output="float[1,3,4,6]", c=values(3, 1, 1))
    nhwc = to_nhwc(nchw)
    assert nhwc.tensors[nhwc.operators[0].inputs[1]].shape == (1, 1, 1, 3)
    assert_same(nchw, nhwc)


def test_names_inputs_and_outputs_are_kept() -> None:
    nhwc = to_nhwc(graph("a = Relu(x) y = Sigmoid(a)", output="float[1,3,4,6]"))
    assert nhwc.inputs == ("x",) and nhwc.outputs == ("y",) and set(nhwc.tensors) == {"x", "a", "y"}
    assert nhwc.tensors["x"].shape == nhwc.tensors["y"].shape == (1, 4, 6, 3)


def test_batch_norm_and_unknown_operators_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"\(BatchNorm\) has no NHWC form; fold it with fold_batch_norm first"):
        to_nhwc(graph("y = BatchNormalization(x, c, c, c, c)", output="float[1,3,4,6]", c=np.ones(3, np.float32)))
    with pytest.raises(UnsupportedError, match=r"\(Hardmax\) has no NHWC form"):
        to_nhwc(graph("y = Hardmax(x)", output="float[1,3,4,6]"))
