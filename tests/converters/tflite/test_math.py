"""Arithmetic, functions, reductions and norms: ONNX in, TFLite out, the same numbers in LiteRT and ONNX Runtime."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from converters.onnx.file import onnx_bytes
from converters.passes.canonical import canonical
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.engines.litert import open_litert
from edge.execution.float_run import FloatRun
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite
from tests.support.onnx_session import cpu_session

Array = npt.NDArray[Any]
SHAPE = (1, 3, 5, 4)


def model(body: str, *, shapes: Sequence[tuple[int, ...]] = (SHAPE,), opset: int = 20, **constants: Array) -> bytes:
    """An ONNX file whose nodes are in `body`, from x (and w, v) to y."""
    names = "xwv"[: len(shapes)]
    inputs = ", ".join(f"float[{','.join(map(str, shape))}] {name}" for name, shape in zip(names, shapes, strict=True))
    text = f'<ir_version: 9, opset_import: ["": {opset}]> main ({inputs}) => (float y) {{ {body} }}'
    proto = onnx.parser.parse_model(text)
    for name, values in constants.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(values), name))
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    proto = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    if not proto.graph.output[0].type.tensor_type.HasField("shape"):  # a function that inference does not look into
        proto.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shapes[0]))
    data: bytes = proto.SerializeToString()
    return data


def onnxruntime_output(data: bytes, inputs: Sequence[Array]) -> Array:
    """What ONNX Runtime makes of it."""
    session = cpu_session(data)
    feeds = {port.name: array for port, array in zip(session.get_inputs(), inputs, strict=True)}
    return np.asarray(session.run(None, feeds)[0])


def tflite_output(graph: Graph, inputs: Sequence[Array]) -> Array:
    """What LiteRT makes of the NCHW graph's TFLite file, back in NCHW."""
    data = tflite_bytes(to_nhwc(graph))
    assert all(operator.kind != "CUSTOM" for operator in read_tflite(data).operators)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(data)
        session = open_litert(path)
        given = [np.ascontiguousarray(a.transpose(0, 2, 3, 1)) if a.ndim == 4 else a for a in inputs]
        output = session.run(given)[0]
    return output.transpose(0, 3, 1, 2) if output.ndim == 4 else output


def values(*shape: int, low: float = -3.0, high: float = 3.0, seed: int = 0) -> Array:
    """Uniform float32."""
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


POSITIVE = {"Sqrt", "Log", "Rsqrt", "Pow", "ReduceLogSum"}
ANY = lambda: [values(*SHAPE)]  # noqa: E731
ABOVE_ZERO: Callable[[], list[Array]] = lambda: [values(*SHAPE, low=0.1)]  # noqa: E731
ROW = np.array([0.5, -1.5, 2.0], np.float32).reshape(3, 1, 1)
SLOPES = np.array([0.25, 0.1, -0.5], np.float32).reshape(3, 1, 1)
FLOAT_FUNCTIONS = ("Abs", "Neg", "Exp", "Floor", "Ceil", "Round", "Sin", "Cos")
ONE_INPUT: dict[str, tuple[str, dict[str, Array], list[str], Callable[[], list[Array]]]] = {
    **{name: (f"y = {name}(x)", {}, [name], ANY) for name in FLOAT_FUNCTIONS},
    **{name: (f"y = {name}(x)", {}, [name], ABOVE_ZERO) for name in ("Sqrt", "Log")},
    "Reciprocal": ("y = Reciprocal(x)", {}, ["Div"], ABOVE_ZERO),
    "1 / Sqrt": ("r = Sqrt(x) y = Reciprocal(r)", {}, ["Rsqrt"], ABOVE_ZERO),
    "Pow 2": ("y = Pow(x, c)", {"c": np.array(2, np.float32)}, ["Mul"], ANY),
    "Pow 3": ("y = Pow(x, c)", {"c": np.array(3, np.int64)}, ["Pow"], ANY),
    "Pow 0.5": ("y = Pow(x, c)", {"c": np.array([0.5], np.float32)}, ["Sqrt"], ABOVE_ZERO),
    "Pow -0.5": ("y = Pow(x, c)", {"c": np.array(-0.5, np.float32)}, ["Rsqrt"], ABOVE_ZERO),
    "Pow -1": ("y = Pow(x, c)", {"c": np.array(-1, np.float32)}, ["Div"], ABOVE_ZERO),
    "base ** x": ("y = Pow(c, x)", {"c": np.array(1.5, np.float32)}, ["Pow"], ANY),
    "x / row": ("y = Div(x, c)", {"c": ROW}, ["Mul"], ANY),
    "row / x": ("y = Div(c, x)", {"c": ROW}, ["Div"], ABOVE_ZERO),
    "row - x": ("y = Sub(c, x)", {"c": ROW}, ["Sub"], ANY),
    "x - row": ("y = Sub(x, c)", {"c": ROW}, ["Sub"], ANY),
    "scalar * x": ("y = Mul(c, x)", {"c": np.array(2, np.float32)}, ["Mul"], ANY),
    "wide constant": ("y = Add(c, x)", {"c": values(2, 1, 3, 1, 1)}, ["Add"], ANY),
    "Max with a number": ("y = Max(x, c)", {"c": np.array(0.25, np.float32)}, ["Max"], ANY),
    "Min with a row": ("y = Min(c, x)", {"c": ROW}, ["Min"], ANY),
    "Clip": ("y = Clip(x, a, b)", {"a": np.array(-0.7, np.float32), "b": np.array(1.3, np.float32)}, ["Clip"], ANY),
    "Clip from below": ("y = Clip(x, a)", {"a": np.array(-0.7, np.float32)}, ["Clip"], ANY),
    "Clip from above": ("y = Clip(x, , b)", {"b": np.array(1.3, np.float32)}, ["Clip"], ANY),
    "Clip to one": ("y = Clip(x, a, b)", {"a": np.array(0, np.float32), "b": np.array(1, np.float32)}, ["Clip"], ANY),
    "LeakyRelu": ("y = LeakyRelu<alpha=0.2>(x)", {}, ["LeakyRelu"], ANY),
    "PRelu": ("y = PRelu(x, c)", {"c": SLOPES}, ["PRelu"], ANY),
    "PRelu of one slope": ("y = PRelu(x, c)", {"c": SLOPES[:1]}, ["LeakyRelu"], ANY),
    "Elu": ("y = Elu(x)", {}, ["Elu"], ANY),
    "Elu 0.3": ("y = Elu<alpha=0.3>(x)", {}, ["Relu", "Min", "Elu", "Mul", "Add"], ANY),
    "Selu": ("y = Selu(x)", {}, ["Relu", "Mul", "Min", "Elu", "Mul", "Add"], ANY),
    "Celu": ("y = Celu<alpha=2.0>(x)", {}, ["Mul", "Elu", "Mul"], ANY),
    "Gelu": ("y = Gelu(x)", {}, ["Gelu"], ANY),
    "Gelu by tanh": ('y = Gelu<approximate="tanh">(x)', {}, ["Gelu"], ANY),
    "HardSigmoid": ("y = HardSigmoid<alpha=0.3, beta=0.4>(x)", {}, ["HardSigmoid"], ANY),
    "HardSwish": ("y = HardSwish(x)", {}, ["HardSwish"], ANY),
    "SiLU": ("s = Sigmoid(x) y = Mul(x, s)", {}, ["Sigmoid", "Mul"], ANY),
    "Softplus": ("y = Softplus(x)", {}, ["Relu", "Abs", "Neg", "Exp", "Add", "Log", "Add"], ANY),
    "Mish": ("y = Mish(x)", {}, ["Relu", "Abs", "Neg", "Exp", "Add", "Log", "Add", "Tanh", "Mul"], ANY),
    "Softsign": ("y = Softsign(x)", {}, ["Abs", "Add", "Div"], ANY),
    **{f"Softmax {axis}": (f"y = Softmax<axis={axis}>(x)", {}, ["Softmax"], ANY) for axis in (0, 1, 2, -1)},
    "LogSoftmax": ("y = LogSoftmax<axis=1>(x)", {}, ["LogSoftmax"], ANY),
    "LogSoftmax 2": ("y = LogSoftmax<axis=2>(x)", {}, ["LogSoftmax"], ANY),
    "ReduceSum": ("y = ReduceSum(x, c)", {"c": np.array([2, 3])}, ["ReduceSum"], ANY),
    "ReduceMax": ("y = ReduceMax(x, c)", {"c": np.array([1])}, ["ReduceMax"], ANY),
    "ReduceMin": ("y = ReduceMin<keepdims=0>(x, c)", {"c": np.array([-1, 1])}, ["ReduceMin"], ANY),
    "ReduceL1": ("y = ReduceL1(x, c)", {"c": np.array([2])}, ["Abs", "ReduceSum"], ANY),
    "ReduceL2": ("y = ReduceL2(x, c)", {"c": np.array([1])}, ["Mul", "ReduceSum", "Sqrt"], ANY),
    "GlobalMaxPool": ("y = GlobalMaxPool(x)", {}, ["ReduceMax"], ANY),
    "LpNormalization": ("y = LpNormalization<axis=1, p=2>(x)", {}, ["L2Norm"], ANY),
    "LpNormalization 2": ("y = LpNormalization<axis=2, p=2>(x)", {}, ["L2Norm"], ANY),
    "x / norm": ("n = ReduceL2(x, c) y = Div(x, n)", {"c": np.array([1])}, ["L2Norm"], ANY),
    "x / clipped norm": (
        "n = ReduceL2(x, c) m = Clip(n, e) s = Shape(x) k = Expand(m, s) y = Div(x, k)",
        {"c": np.array([1]), "e": np.array(1e-12, np.float32)},
        ["L2Norm"],
        ANY,
    ),
}


def check(data: bytes, inputs: Sequence[Array], kinds: list[str] | None) -> Graph:
    """The graph, its own execution, the TFLite file and the ONNX file written from it all agree with ONNX Runtime."""
    expected = onnxruntime_output(data, inputs)
    graph = canonical(read_onnx(data))
    if kinds is not None:
        assert [operator.kind for operator in graph.operators] == kinds
    again = read_onnx(onnx_bytes(graph))
    assert [operator.kind for operator in again.operators] == [operator.kind for operator in graph.operators]
    for found in (
        FloatRun(graph).run(inputs)[0],
        FloatRun(to_nhwc(graph)).run([a.transpose(0, 2, 3, 1) if a.ndim == 4 else a for a in inputs])[0],
        tflite_output(graph, inputs),
        onnxruntime_output(onnx_bytes(graph), inputs),
    ):
        if found.shape != expected.shape and found.ndim == 4:
            found = found.transpose(0, 3, 1, 2)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)
    return graph


@pytest.mark.parametrize("name", ONE_INPUT)
def test_an_operator_gives_onnxruntimes_numbers_in_every_form(name: str) -> None:
    body, constants, kinds, inputs = ONE_INPUT[name]
    check(model(body, **constants), inputs(), kinds)


NORMALIZED = {
    "InstanceNormalization": ("y = InstanceNormalization(x, g, b)", (3,)),
    "GroupNormalization": ("y = GroupNormalization<num_groups=3>(x, g, b)", (3,)),
    "LayerNormalization": ("y = LayerNormalization<axis=1>(x, g, b)", SHAPE[1:]),
    "LayerNormalization of the last axis": ("y = LayerNormalization(x, g, b)", SHAPE[3:]),
}


@pytest.mark.parametrize("name", NORMALIZED)
def test_normalizations_are_put_together_from_means_and_products(name: str) -> None:
    body, shape = NORMALIZED[name]
    data = model(body, opset=21 if name == "GroupNormalization" else 20, g=values(*shape), b=values(*shape, seed=1))
    graph = check(data, [values(*SHAPE)], None)
    assert {operator.kind for operator in graph.operators} <= {"Mean", "Sub", "Mul", "Add", "Rsqrt", "Reshape"}


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Div", "Max", "Min"])
@pytest.mark.parametrize(
    "shapes",
    [(SHAPE, SHAPE), (SHAPE, (1, 3, 1, 1)), ((1, 1, 5, 1), SHAPE), (SHAPE, (4,)), ((5, 1), SHAPE), ((2, 3), (1, 3))],
    ids=str,
)
def test_two_activations_broadcast_over_any_ranks(kind: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    inputs = [values(*shape, low=0.5, seed=index) for index, shape in enumerate(shapes)]
    check(model(f"y = {kind}(x, w)", shapes=shapes), inputs, [kind])


@pytest.mark.parametrize("kind", ["Sum", "Mean", "Max", "Min"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_any_number_of_operands_is_one_after_another(kind: str, count: int) -> None:
    shapes = (SHAPE, (1, 3, 1, 1), (4,))[:count]
    body = f"z = {kind}({','.join('xwv'[:count])}) y = Relu(z)"
    check(model(body, shapes=shapes), [values(*shape, seed=i) for i, shape in enumerate(shapes)], None)
