"""Functions that exporters write out are read as the one operator that they compute."""

import numpy as np
import onnx
import pytest

from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx

Array = np.ndarray
F32 = np.float32
NUMBERS = {
    "half": 0.5,
    "one": 1.0,
    "two": 2.0,
    "three": 3.0,
    "six": 6.0,
    "zero": 0.0,
    "root": 1.4142135623730951,
    "over_root": 0.7071067811865476,
    "factor": 0.7978845608028654,
    "cubic": 0.044715,
    "sixth": 1 / 6,
    "other": 0.9,
}


def graph_of(body: str, *, quantized: bool = False) -> Graph:
    """The graph of nodes from x to y over the numbers above."""
    text = f'<ir_version: 8, opset_import: ["": 17]> main (float[1,4,3,3] x) => (float[1,4,3,3] y) {{ {body} }}'
    model = onnx.parser.parse_model(text)
    for name, value in NUMBERS.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, F32), name))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(3, np.int8), "zp"))
    return read_onnx(model.SerializeToString())


def kinds(graph: Graph) -> list[str]:
    return [operator.kind for operator in graph.operators]


ERF = "a = Div(x, root) b = Erf(a) c = Add(b, one) "
TANH = "d = Mul(c, cubic) e = Add(x, d) f = Mul(e, factor) g = Tanh(f) h = Add(g, one) "
GELUS = {
    "torch": ERF + "d = Mul(x, c) y = Mul(d, half)",
    "half first": ERF + "d = Mul(x, half) y = Mul(d, c)",
    "times the reciprocal": "a = Mul(x, over_root) b = Erf(a) c = Add(one, b) d = Mul(c, half) y = Mul(d, x)",
    "divided by two": ERF + "d = Mul(c, x) y = Div(d, two)",
    "tanh, Pow": "c = Pow(x, three) " + TANH + "i = Mul(x, half) y = Mul(i, h)",
    "tanh, products": "b = Mul(x, x) c = Mul(b, x) " + TANH + "i = Mul(x, h) y = Mul(half, i)",
}


@pytest.mark.parametrize("name", GELUS)
def test_gelu_is_recognized_however_it_is_written(name: str) -> None:
    graph = graph_of(GELUS[name])
    assert kinds(graph) == ["Gelu"]
    assert graph.operators[0].inputs == ("x",) and graph.operators[0].outputs == ("y",)
    assert graph.operators[0].attributes["approximate"] is name.startswith("tanh")


HARD = {
    "clip": ("a = Add(x, three) b = Clip(a, zero, six) c = Mul(x, b) y = Div(c, six)", "HardSwish"),
    "clip, divided first": ("a = Add(x, three) b = Clip(a, zero, six) c = Div(b, six) y = Mul(x, c)", "HardSwish"),
    "sigmoid": ("a = HardSigmoid<alpha=0.16666667, beta=0.5>(x) y = Mul(a, x)", "HardSwish"),
    "gate alone": ("a = Add(x, three) b = Clip(a, zero, six) y = Mul(b, sixth)", "HardSigmoid"),
}


@pytest.mark.parametrize("name", HARD)
def test_hard_swish_and_its_gate_are_recognized(name: str) -> None:
    body, kind = HARD[name]
    assert kinds(graph_of(body)) == [kind]


def test_a_rectifier_in_front_of_the_function_stays() -> None:
    graph = graph_of("r = Relu(x) a = Div(r, root) b = Erf(a) c = Add(b, one) d = Mul(r, c) y = Mul(d, half)")
    assert kinds(graph) == ["Relu", "Gelu"]


OTHERS = {
    "another constant": "a = Mul(x, other) b = Erf(a) c = Add(b, one) d = Mul(x, c) y = Mul(d, half)",
    "an inner value is read twice": ERF + "d = Mul(x, c) e = Mul(d, half) y = Add(e, b)",
    "another slope": "a = HardSigmoid<alpha=0.2, beta=0.5>(x) y = Mul(a, x)",
    "silu": "a = Sigmoid(x) y = Mul(x, a)",
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_computes_something_else_is_left_alone(name: str) -> None:
    assert not {"Gelu", "HardSwish"} & set(kinds(graph_of(OTHERS[name])))


def test_a_written_out_function_between_dequantize_and_quantize_is_an_integer_operator() -> None:
    body = "q = QuantizeLinear(x, half, zp) r = DequantizeLinear(q, half, zp) "
    inner = ERF.replace("Div(x", "Div(r") + "d = Mul(r, c) e = Mul(d, half) "
    graph = graph_of(body + inner + "f = QuantizeLinear(e, two, zp) y = DequantizeLinear(f, two, zp)")
    assert kinds(graph) == ["Quantize", "Gelu", "Dequantize"]
    assert graph.tensors[graph.operators[1].outputs[0]].dtype == "int8"


def quantized(name: str, made: str) -> str:
    """A Quantize and Dequantize of `name` as `made`."""
    return f"{made}q = QuantizeLinear({name}, sixth, zp) {made} = DequantizeLinear({made}q, sixth, zp) "


def test_gelu_is_recognized_through_a_tools_quantization_of_its_inner_values() -> None:
    body = (
        quantized("x", "r") + "s = DequantizeLinear(rq, sixth, zp) a = Div(r, root) b = Erf(a) " + quantized("b", "b1")
    )
    body += "c = Add(b1, one) " + quantized("c", "c1") + "d = Mul(s, c1) " + quantized("d", "d1") + "e = Mul(d1, half) "
    graph = graph_of(body + quantized("e", "y"))
    assert kinds(graph) == ["Quantize", "Gelu", "Dequantize"]


def test_a_hard_swish_of_integer_operators_keeps_every_rounding_of_the_file() -> None:
    body = quantized("x", "r") + "a = Add(r, three) " + quantized("a", "a1") + "b = Clip(a1, zero, six) "
    body += quantized("b", "b1") + "c = Mul(r, b1) " + quantized("c", "c1") + "d = Div(c1, six) "
    graph = graph_of(body + quantized("d", "y"))
    assert "HardSwish" not in kinds(graph)
