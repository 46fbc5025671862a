"""Reading ONNX: canonical operators that compute what the file computes, in every supported form and operator set."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from converters.onnx.file import onnx_bytes
from converters.passes.layout.nhwc import to_nhwc
from edge.errors import ModelFileError
from edge.execution.float_run import run_float
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from tests.support.onnx_session import cpu_session

NEWEST = onnx.defs.onnx_opset_version()
X = "float[1,3,9,10] x"
Arrays = Mapping[str, npt.NDArray[Any]]


def model(
    body: str, *, inputs: str = X, opset: int = 17, constants: Arrays | None = None, output: str = "float"
) -> bytes:
    """An ONNX file from ONNX text whose result is `y`."""
    text = f'<ir_version: 8, opset_import: ["": {opset}]> net ({inputs}) => ({output}[] y) {{ {body} }}'
    proto = onnx.parser.parse_model(text)
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    for name, values in (constants or {}).items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(values), name))
    inferred = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    proto.graph.output[0].CopyFrom(inferred.graph.output[0])
    return bytes(proto.SerializeToString())


def random(*shape: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def run(data: bytes, feeds: Arrays) -> npt.NDArray[Any]:
    session = cpu_session(data)
    result = session.run(None, {entry.name: feeds[entry.name] for entry in session.get_inputs()})[0]
    return np.asarray(result)


def kinds(graph: Graph) -> list[str]:
    return [operator.kind for operator in graph.operators]


W, B = random(4, 3, 3, 3), random(4, seed=1)
# name -> (body, constants, the canonical operators expected)
FORMS: dict[str, tuple[str, Arrays, list[str]]] = {
    "conv with asymmetric pads": ("y = Conv<pads=[0,1,2,0], strides=[2,1]>(x, w, b)", {"w": W, "b": B}, ["Conv"]),
    "conv padded SAME_UPPER": ('y = Conv<auto_pad="SAME_UPPER", strides=[2,2]>(x, w)', {"w": W}, ["Conv"]),
    "conv padded SAME_LOWER": ('y = Conv<auto_pad="SAME_LOWER", strides=[2,2]>(x, w)', {"w": W}, ["Conv"]),
    "conv without pads": ('y = Conv<auto_pad="VALID", dilations=[2,2]>(x, w)', {"w": W}, ["Conv"]),
    "conv and relu": ("a = Conv(x, w, b) y = Relu(a)", {"w": W, "b": B}, ["Conv"]),
    "conv and relu6": (
        "a = Conv(x, w) y = Clip(a, low, high)",
        {"w": W, "low": np.float32(0), "high": np.float32(6)},
        ["Conv"],
    ),
    "conv read twice": ("a = Conv(x, w) r = Relu(a) y = Add(a, r)", {"w": W}, ["Conv", "Relu", "Add"]),
    "grouped conv": ("y = Conv<group=3>(x, w)", {"w": random(6, 1, 3, 3)}, ["Conv"]),
    "clip": ("y = Clip(x, low, high)", {"low": np.float32(-0.5), "high": np.float32(0.25)}, ["Clip"]),
    "clip above": ("y = Clip(x, , high)", {"high": np.float32(0.25)}, ["Clip"]),
    "gemm with factors": (
        "f = Flatten(x) y = Gemm<alpha=0.5, beta=2.0>(f, w, c)",
        {"w": random(270, 5), "c": random(1, 5)},
        ["Reshape", "Gemm"],
    ),
    "gemm transposed": (
        "f = Flatten(x) y = Gemm<transB=1>(f, w, c)",
        {"w": random(5, 270), "c": random(5)},
        ["Reshape", "Gemm"],
    ),
    "matmul and add": (
        "f = Flatten(x) m = MatMul(f, w) a = Add(m, c) y = Relu(a)",
        {"w": random(270, 5), "c": random(5)},
        ["Reshape", "Gemm"],
    ),
    "average pool that counts pads": (
        "y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2], count_include_pad=1>(x)",
        {},
        ["AveragePool"],
    ),
    "average pool": ("y = AveragePool<kernel_shape=[3,3], pads=[1,0,1,1]>(x)", {}, ["AveragePool"]),
    "average pool rounding up": (
        "y = AveragePool<kernel_shape=[2,3], strides=[2,2], ceil_mode=1>(x)",
        {},
        ["AveragePool"],
    ),
    "max pool rounding up": ("y = MaxPool<kernel_shape=[2,3], strides=[2,2], ceil_mode=1>(x)", {}, ["MaxPool"]),
    "global average": ("g = GlobalAveragePool(x) y = Flatten(g)", {}, ["Mean", "Reshape"]),
    "mean over columns": ("y = ReduceMean<axes=[-1], keepdims=0>(x)", {}, ["Mean"]),
    "mean over everything": ("y = ReduceMean<keepdims=1>(x)", {}, ["Mean"]),
    "resize by sizes": (
        'y = Resize<mode="linear">(x, , , s)',
        {"s": np.array([1, 3, 20, 7], np.int64)},
        ["Resize"],
    ),
    "resize by scales": (
        'y = Resize<mode="linear", coordinate_transformation_mode="asymmetric">(x, , s)',
        {"s": np.array([1, 1, 2, 3], np.float32)},
        ["Resize"],
    ),
    "resize corners": (
        'y = Resize<mode="linear", coordinate_transformation_mode="align_corners">(x, , , s)',
        {"s": np.array([1, 3, 20, 7], np.int64)},
        ["Resize"],
    ),
    "resize nearest": (
        'y = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">(x, , s)',
        {"s": np.array([1, 1, 2, 2], np.float32)},
        ["Resize"],
    ),
    "resize nearest at half pixels": (
        'y = Resize<mode="nearest">(x, , s)',
        {"s": np.array([1, 1, 2, 2], np.float32)},
        ["Resize"],
    ),
    "concat": ("a = Relu(x) y = Concat<axis=-3>(x, a)", {}, ["Relu", "Concat"]),
    "add of a channel vector": ("y = Add(x, c)", {"c": random(3, 1, 1)}, ["Add"]),
    "product with a lower rank": ("m = ReduceMean<axes=[0], keepdims=0>(x) y = Mul(x, m)", {}, ["Mean", "Mul"]),
    "pad": (
        "y = Pad(x, p, v)",
        {"p": np.array([0, 0, 1, 2, 0, 0, 0, 3], np.int64), "v": np.float32(1.5)},
        ["Pad"],
    ),
    "slice from the end": (
        "y = Slice(x, b, e, a, s)",
        {name: np.array(value, np.int64) for name, value in (("b", [-8]), ("e", [9999]), ("a", [2]), ("s", [3]))},
        ["Slice"],
    ),
    "split": (
        "a, b = Split<axis=2>(x, s) y = Concat<axis=2>(b, a)",
        {"s": np.array([4, 5], np.int64)},
        ["Slice", "Slice", "Concat"],
    ),
    "shape arithmetic": (
        "s = Shape(x) n = Gather(s, i) o = Unsqueeze(n, i0) m = Concat<axis=0>(o, rest) y = Reshape(x, m)",
        {"i": np.array(0, np.int64), "i0": np.array([0], np.int64), "rest": np.array([-1, 5], np.int64)},
        ["Reshape"],
    ),
    "identity and dropout": ("a = Identity(x) d = Dropout(a) r = Relu(d) y = Identity(r)", {}, ["Relu"]),
    "batch norm": (
        "y = BatchNormalization<epsilon=0.01>(x, g, b, m, v)",
        {"g": random(3), "b": random(3, seed=1), "m": random(3, seed=2), "v": np.abs(random(3, seed=3))},
        ["BatchNorm"],
    ),
    "activations": (
        "a = Sigmoid(x) b = Tanh(a) c = HardSwish(b) d = HardSigmoid<alpha=0.3>(c) y = Softmax<axis=1>(d)",
        {},
        ["Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Softmax"],
    ),
    "transpose of a flattened map": (
        "t = Transpose<perm=[0,2,3,1]>(x) y = Reshape(t, s)",
        {"s": np.array([1, 90, 3], np.int64)},
        ["Transpose", "Reshape"],
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_reads_as_canonical_operators_with_the_same_result(form: str) -> None:
    body, constants, expected = FORMS[form]
    data, feeds = model(body, constants=constants), {"x": random(1, 3, 9, 10, seed=7)}
    graph = read_onnx(data)
    assert kinds(graph) == expected
    assert graph.outputs == ("y",)
    wanted = run(data, feeds)
    np.testing.assert_allclose(run(onnx_bytes(graph), feeds), wanted, rtol=1e-5, atol=1e-5)
    again = read_onnx(onnx_bytes(graph))
    assert [dict(operator.attributes) for operator in again.operators] == [
        dict(operator.attributes) for operator in graph.operators
    ]
    if "BatchNorm" not in expected:
        result = np.asarray(run_float(to_nhwc(graph), [feeds["x"].transpose(0, 2, 3, 1)])["y"])
        result = result.transpose(0, 3, 1, 2) if result.ndim == 4 else result
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("opset", [13, 17, NEWEST])
def test_every_supported_operator_set_is_read(opset: int) -> None:
    mean = "m = ReduceMean(r, ax)" if opset >= 18 else "m = ReduceMean<axes=[2,3]>(r)"
    body = f"c = Conv<pads=[1,1,1,1]>(x, w, b) r = Relu(c) {mean} f = Flatten(m) y = Gemm<transB=1>(f, v)"
    constants = {"w": W, "b": B, "v": random(2, 4)}
    if opset >= 18:
        constants["ax"] = np.array([2, 3], np.int64)
    data = model(body, opset=opset, constants=constants)
    graph = read_onnx(data)
    assert kinds(graph) == ["Conv", "Mean", "Reshape", "Gemm"]
    feeds = {"x": random(1, 3, 9, 10)}
    expected = ReferenceEvaluator(onnx.load_from_string(data)).run(None, feeds)[0]
    np.testing.assert_allclose(run(onnx_bytes(graph), feeds), expected, rtol=1e-4, atol=1e-5)


def test_arg_max_and_its_cast_read_as_one_operator() -> None:
    data = model("a = ArgMax<axis=1, keepdims=0>(x) y = Cast<to=6>(a)", output="int32")
    graph = read_onnx(data)
    assert kinds(graph) == ["ArgMax"] and graph.tensors["y"].dtype == "int32"
    feeds = {"x": random(1, 3, 9, 10)}
    np.testing.assert_array_equal(run(onnx_bytes(graph), feeds), feeds["x"].argmax(1))


def test_an_operator_without_a_canonical_kind_keeps_its_name() -> None:
    body = "a = ThresholdedRelu<alpha=0.3>(x) c = ArgMax<axis=1>(a) y = Add(c, c)"
    graph = read_onnx(model(body, output="int64"))
    assert kinds(graph) == ["ThresholdedRelu", "ArgMax", "onnx.Add"]
    assert graph.operators[0].attributes["alpha"] == pytest.approx(0.3)


def test_an_unknown_batch_is_refused_unless_it_is_given() -> None:
    data = model("y = Relu(x)", inputs="float[N,3,4,4] x")
    with pytest.raises(ModelFileError, match="input 'x' has an unknown size on axis 0; give a batch size"):
        read_onnx(data)
    assert read_onnx(data, batch=2).tensors["y"].shape == (2, 3, 4, 4)


def test_an_unknown_image_size_is_refused() -> None:
    with pytest.raises(ModelFileError, match="unknown size on axis 2"):
        read_onnx(model("y = Relu(x)", inputs="float[1,3,H,4] x"), batch=1)


def test_the_graph_takes_the_files_name_or_the_given_one() -> None:
    data = model("y = Relu(x)")
    assert read_onnx(data).name == "net" and read_onnx(data, name="mine").name == "mine"


def test_computed_constants_are_bounded_by_the_files_size() -> None:
    body = "c = ConstantOfShape<value=float[1]{1.0}>(s) y = Add(x, c)"
    data = model(body, inputs="float[1] x", constants={"s": np.array([30_000, 30_000], np.int64)})
    with pytest.raises(ModelFileError, match="computes constants of over"):
        read_onnx(data)
