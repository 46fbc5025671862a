"""What exporters write around layers and shapes comes out as few operators; what cannot be held is refused by name."""

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from converters.passes.canonical import canonical
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.errors import UnsupportedError
from edge.execution.float_run import FloatRun
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx

HEAD = '<ir_version: 8, opset_import: ["": 18]> net '


def parsed(text: str, **arrays: np.ndarray) -> bytes:
    """A model in ONNX's own notation; the arrays become constants."""
    model = onnx.parser.parse_model(HEAD + text)
    for name, array in arrays.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return bytes(model.SerializeToString())


def kinds(graph: Graph) -> list[str]:
    return [operator.kind for operator in graph.operators]


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).normal(size=shape).astype(np.float32)


def reference(data: bytes, *inputs: np.ndarray) -> np.ndarray:
    """The onnx package's own evaluation."""
    evaluator = ReferenceEvaluator(onnx.load_from_string(data))
    return np.asarray(evaluator.run(None, dict(zip(evaluator.input_names, inputs, strict=True)))[0])


def test_a_chain_of_one_axis_convolutions_fuses_and_reshapes_at_its_ends_alone() -> None:
    data = parsed(
        "(float[1,4,20] x) => (float[1,3,16] y) { a = Conv(x, w1) b = BatchNormalization(a, g, g, g, v)"
        " c = Relu(b) y = Conv(c, w2) }",
        w1=normal(6, 4, 3),
        w2=normal(3, 6, 3),
        g=normal(6),
        v=np.abs(normal(6)) + 1,
    )
    graph = canonical(read_onnx(data))
    assert kinds(graph) == ["Reshape", "Conv", "Conv", "Reshape"]
    assert graph.operators[1].attributes["activation"] == "relu"
    x = normal(1, 4, 20)
    np.testing.assert_allclose(FloatRun(graph).run([x])[0], reference(data, x), atol=1e-4)


def test_batch_norm_and_rectifier_go_into_a_transposed_convolution() -> None:
    data = parsed(
        "(float[1,4,5,5] x) => (float[1,6,10,10] y) { a = ConvTranspose<strides=[2,2]>(x, w)"
        " b = BatchNormalization(a, g, g, g, v) y = Relu(b) }",
        w=normal(4, 6, 2, 2),
        g=normal(6),
        v=np.abs(normal(6)) + 1,
    )
    graph = canonical(read_onnx(data))
    assert kinds(graph) == ["ConvTranspose"]
    x = normal(1, 4, 5, 5)
    np.testing.assert_allclose(FloatRun(graph).run([x])[0], reference(data, x), atol=1e-4)


def test_a_pixel_shuffle_reorders_the_convolution_in_front() -> None:
    data = parsed(
        "(float[1,4,5,5] x) => (float[1,2,10,10] y) { a = Conv(x, w, b) r = Relu(a)"
        ' y = DepthToSpace<blocksize=2, mode="CRD">(r) }',
        w=normal(8, 4, 1, 1),
        b=normal(8),
    )
    graph = canonical(read_onnx(data))
    assert kinds(graph) == ["Conv", "DepthToSpace"]
    assert graph.operators[1].attributes["mode"] == "DCR"
    x = normal(1, 4, 5, 5)
    np.testing.assert_allclose(FloatRun(graph).run([x])[0], reference(data, x), atol=1e-5)


def test_a_pixel_shuffle_of_something_else_is_a_gather_in_front() -> None:
    data = parsed(
        '(float[1,8,5,5] x) => (float[1,2,10,10] y) { y = DepthToSpace<blocksize=2, mode="CRD">(x) }',
    )
    graph = canonical(read_onnx(data))
    assert kinds(graph) == ["Gather", "DepthToSpace"]
    x = normal(1, 8, 5, 5)
    np.testing.assert_array_equal(FloatRun(graph).run([x])[0], reference(data, x))


def test_shape_arithmetic_disappears() -> None:
    """Shape, Slice, Concat, ConstantOfShape, Equal, Where and Split over known sizes are computed."""
    data = parsed(
        "(float[1,3,4,5] x) => (float[a,b] y) { s = Shape(x) w = Slice(s, three, four)"
        " n = Concat<axis=0>(minus, w) z = ConstantOfShape<value=int64[1]{-1}>(one)"
        " q = Equal(n, z) m = Where(q, z, n) p1, p2 = Split<axis=0>(m) t = Concat<axis=0>(p1, p2)"
        " y = Reshape(x, t) }",
        three=np.array([3], np.int64),
        four=np.array([4], np.int64),
        one=np.array([1], np.int64),
        minus=np.array([-1], np.int64),
    )
    graph = canonical(read_onnx(data))
    assert kinds(graph) == ["Reshape"]
    x = normal(1, 3, 4, 5)
    np.testing.assert_array_equal(FloatRun(graph).run([x])[0], reference(data, x))


def test_a_gather_of_neighbours_is_a_slice() -> None:
    text = "(float[1,6,4,5] x) => (float[%s] y) { y = Gather<axis=1>(x, i) }"
    for indices, sizes, expected in (
        (-1, "a,b,c", ["Slice", "Reshape"]),
        ([1, 3, 5], "a,b,c,d", ["Slice"]),
        ([1, 3, 4], "a,b,c,d", ["Gather"]),
    ):
        graph = read_onnx(parsed(text % sizes, i=np.array(indices, np.int64)))
        assert kinds(graph) == expected
        values = normal(1, 6, 4, 5)
        np.testing.assert_array_equal(FloatRun(graph).run([values])[0], values.take(indices, axis=1))


def test_gemm_of_computed_operands_is_a_matmul_with_its_factors() -> None:
    data = parsed(
        "(float[3,4] a, float[5,4] b, float[3,1] c) => (float[3,5] y)"
        " { y = Gemm<transB=1, alpha=0.5, beta=2.0>(a, b, c) }"
    )
    inputs = [normal(3, 4), normal(5, 4), normal(3, 1)]
    graph = canonical(read_onnx(data))
    np.testing.assert_allclose(FloatRun(graph).run(inputs)[0], reference(data, *inputs), atol=1e-5)


def test_an_average_pool_that_ends_beyond_the_image_is_exact() -> None:
    """ceil_mode with counted pads: the pads count, what ceil_mode adds does not."""
    data = parsed(
        "(float[1,2,7,8] x) => (float[a,b,c,d] y)"
        " { y = AveragePool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], ceil_mode=1, count_include_pad=1>(x) }"
    )
    x = normal(1, 2, 7, 8)
    np.testing.assert_allclose(FloatRun(canonical(read_onnx(data))).run([x])[0], reference(data, x), atol=1e-5)


SIZES = np.array([1, 2, 9, 9], np.int64)
REFUSED = {
    "cubic": ('y = Resize<mode="cubic">(x, , , s)', "mode cubic"),
    "crop": ('y = Resize<mode="linear", coordinate_transformation_mode="tf_crop_and_resize">(x, r, , s)', "tf_crop"),
    "antialias": ('y = Resize<mode="linear", antialias=1>(x, , , s)', "antialias 1"),
    "dilated pool": ("y = MaxPool<kernel_shape=[2,2], dilations=[2,2]>(x)", "a dilated pool"),
    "computed weight": ("w = Relu(x) y = Conv(x, w)", "'w' is not a constant"),
    "gather elements": ("y = GatherElements<axis=1>(x, i)", "GatherElements"),
    "lp pool": ("y = LpPool<kernel_shape=[2,2]>(x)", "LpPool"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_held_is_refused_with_the_node_and_the_reason(name: str) -> None:
    body, message = REFUSED[name]
    arrays = {"s": SIZES, "r": normal(8), "i": np.zeros((1, 1, 2, 2), np.int64)}
    data = parsed(f"(float[1,2,8,8] x) => (float[a,b,c,d] y) {{ {body} }}", **arrays)
    with pytest.raises(UnsupportedError, match=message) as caught:
        tflite_bytes(to_nhwc(canonical(read_onnx(data))))
    assert "_" in str(caught.value)
    assert "\n" not in str(caught.value)
