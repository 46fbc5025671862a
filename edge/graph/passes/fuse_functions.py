"""Recognizing functions that exporters write out: Gelu, HardSwish, HardSigmoid, Rsqrt, L2Norm.

A function of one value is recognized by its values, not by its nodes: exporters differ in the order of factors, in
where a constant stands, and in how they cube.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.graph.graph import Graph, Operator
from edge.graph.passes.rewrite import real_values, rebuild

Array = npt.NDArray[np.float64]

MOST_STEPS = 24
SAMPLES: Array = np.concatenate([np.linspace(-12, 12, 193), np.linspace(-0.05, 0.05, 11)])
TOLERANCE = 2e-6
"""Constants are written with 7 digits: 0.044715, 0.7978845, 1.414214."""
LARGEST_L2_EPSILON = 1e-12


def _erf(x: Array) -> Array:
    return np.array([math.erf(value) for value in x.reshape(-1)]).reshape(x.shape)


def _gelu(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + _erf(x / math.sqrt(2))))


def _gelu_tanh(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


def _hard_swish(x: Array) -> Array:
    return np.asarray(x * np.clip(x / 6 + 0.5, 0, 1))


# canonical kind and attributes of every function that is looked for
KNOWN: tuple[tuple[str, dict[str, Any], Callable[[Array], Array]], ...] = (
    ("Gelu", {"approximate": False}, _gelu),
    ("Gelu", {"approximate": True}, _gelu_tanh),
    ("HardSwish", {}, _hard_swish),
    ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, lambda x: np.clip(x / 6 + 0.5, 0, 1)),
)

# What one operator does to the values of its inputs.
VALUES: Mapping[str, Callable[..., Array]] = MappingProxyType(
    {
        "Add": np.add,
        "Sub": np.subtract,
        "Mul": np.multiply,
        "Div": np.divide,
        "Pow": np.power,
        "Max": np.maximum,
        "Min": np.minimum,
        "Erf": _erf,
        "Tanh": np.tanh,
        "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "Relu": lambda x: np.maximum(x, 0),
        "Relu6": lambda x: np.clip(x, 0, 6),
        "Neg": np.negative,
        "Quantize": np.asarray,
        "Dequantize": np.asarray,
    }
)
# A written-out function holds one of these; nothing else is worth a look.
TELLING = frozenset({"Erf", "Tanh", "Relu6", "Clip", "HardSigmoid", "Min", "Max", "Sigmoid"})


def fuse_functions(graph: Graph) -> Graph:
    """Turn what is written out over floats into the one operator that it computes.

    Requires: rectifiers as operators of their own.
    Ensures: same outputs, to TOLERANCE where the file's constants are rounded. The fused operator takes the name and
    output of the last one; what something else reads stays. A Gelu by erf is taken also where a tool has quantized its
    inner values, whose roundings then vanish: Erf itself has no integer kernel.
    """
    view = _View(graph)
    changed: dict[str, Operator] = {}
    for operator in graph.operators:
        if operator.kind not in ("Mul", "Div") or not _is_float(graph, operator):
            continue
        fused = _function(view, operator)
        if fused is None and operator.kind == "Div":
            fused = _rsqrt(view, operator) or _l2_norm(view, operator)
        if fused is not None:
            changed[operator.name] = fused
    return rebuild(graph, [changed.get(operator.name, operator) for operator in graph.operators])


class _View:
    """A graph with what is asked of it again and again looked up once."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.makers = {name: operator for operator in graph.operators for name in operator.outputs}
        self.places = {name: index for index, entry in enumerate(graph.operators) for name in entry.outputs}
        self.readers: dict[str, list[str]] = {name: [""] for name in graph.outputs}
        for operator in graph.operators:
            for name in operator.inputs:
                self.readers.setdefault(name, []).append(operator.outputs[0] if operator.outputs else "")

    def activations(self, operator: Operator) -> set[str]:
        """The inputs that are no constants."""
        return {name for name in operator.inputs if name and self.graph.tensors[name].data is None}


def _function(view: _View, last: Operator) -> Operator | None:
    """The known function that ends in a product or quotient, if every value comes from one tensor."""
    for source, inside in _regions(view, last):
        with np.errstate(all="ignore"):
            values = _evaluate(view.graph, inside, {source: SAMPLES}, last.outputs[0])
            for kind, attributes, function in KNOWN:
                expected = function(SAMPLES)
                if values.shape == expected.shape and np.allclose(values, expected, rtol=TOLERANCE, atol=TOLERANCE):
                    return _replaced(last, kind, _as_reals(view, source, inside), attributes)
    return None


def _as_reals(view: _View, source: str, inside: Mapping[str, Operator]) -> str:
    """The source, or its Dequantize where the region starts at the integers."""
    if view.graph.tensors[source].quantization is None:
        return source
    return next(name for name, entry in inside.items() if entry.kind == "Dequantize" and entry.inputs[0] == source)


def _regions(view: _View, last: Operator) -> Iterator[tuple[str, dict[str, Operator]]]:
    """The operators (by output) that make the result from one tensor and single numbers, with that tensor.

    Grown from the last operator backwards: an operator belongs to the region when every reader of its result does.
    """
    inside: dict[str, Operator] = {}
    edge = {last.outputs[0]}
    while edge and len(inside) < MOST_STEPS:
        name = max(edge, key=lambda name: view.places.get(name, -1))
        maker = view.makers.get(name)
        if maker is None or not _is_step(view.graph, maker):
            return
        if inside and not all(reader in inside for reader in view.readers[name]):
            return
        inside[name] = maker
        edge.discard(name)
        edge |= view.activations(maker) - set(inside)
        kinds = {operator.kind for operator in inside.values()}
        if len(edge) == 1 and kinds & TELLING and ("Quantize" not in kinds or "Erf" in kinds):
            yield next(iter(edge)), dict(inside)


def _is_step(graph: Graph, operator: Operator) -> bool:
    """Whether an operator computes value by value, from activations and single numbers."""
    if operator.kind in ("Quantize", "Dequantize"):
        return len(operator.outputs) == 1
    if operator.kind not in VALUES and operator.kind not in ("Clip", "HardSigmoid"):
        return False
    numbers = [graph.tensors[name].data for name in operator.inputs if name]
    single = all(data is None or data.size == 1 for data in numbers)
    return single and operator.attributes.get("activation", "none") == "none" and _is_float(graph, operator)


def _is_float(graph: Graph, operator: Operator) -> bool:
    return graph.tensors[operator.outputs[0]].dtype == "float32"


def _evaluate(graph: Graph, inside: Mapping[str, Operator], known: dict[str, Array], name: str) -> Array:
    """The values of a tensor of the region at the samples."""
    if name in known:
        return known[name]
    tensor = graph.tensors[name]
    if tensor.data is not None:
        known[name] = real_values(tensor).astype(np.float64).reshape(())
        return known[name]
    operator = inside[name]
    inputs = [_evaluate(graph, inside, known, entry) for entry in operator.inputs]
    if operator.kind == "Clip":
        result = np.clip(inputs[0], operator.attributes["min"], operator.attributes["max"])
    elif operator.kind == "HardSigmoid":
        result = np.clip(inputs[0] * operator.attributes["alpha"] + operator.attributes["beta"], 0, 1)
    else:
        result = VALUES[operator.kind](*inputs)
    known[name] = np.asarray(result, np.float64)
    return known[name]


def _rsqrt(view: _View, last: Operator) -> Operator | None:
    """1 / Sqrt(x)."""
    graph, makers = view.graph, view.makers
    numerator, root = graph.tensors[last.inputs[0]], makers.get(last.inputs[1])
    if numerator.data is None or numerator.data.size != 1 or float(real_values(numerator).reshape(())) != 1:
        return None
    if root is None or root.kind != "Sqrt" or len(numerator.shape) > len(graph.tensors[root.outputs[0]].shape):
        return None
    return _replaced(last, "Rsqrt", root.inputs[0], {})


def _l2_norm(view: _View, last: Operator) -> Operator | None:
    """x / ReduceL2(x), the norm clipped from below or not, broadcast or expanded."""
    makers = view.makers
    source, norm = last.inputs[0], makers.get(last.inputs[1])
    if norm is not None and norm.kind == "Expand":
        norm = makers.get(norm.inputs[0])
    if norm is not None and norm.kind in ("Clip", "Max"):
        floor = _floor(view.graph, norm)
        if floor is None or floor**2 > LARGEST_L2_EPSILON:
            return None
        norm = makers.get(norm.inputs[0])
    if norm is None or norm.kind != "Sqrt":
        return None
    total = makers.get(norm.inputs[0])
    square = None if total is None else makers.get(total.inputs[0])
    if total is None or square is None or total.kind != "ReduceSum" or square.kind != "Mul":
        return None
    axes = total.attributes["axes"]
    if len(axes) != 1 or not total.attributes["keepdims"] or square.inputs != (source, source):
        return None
    return _replaced(last, "L2Norm", source, {"axis": axes[0], "epsilon": LARGEST_L2_EPSILON})


def _floor(graph: Graph, operator: Operator) -> float | None:
    """The lower limit of a Clip without an upper one, or of a Max with one number."""
    if operator.kind == "Clip":
        return float(operator.attributes["min"]) if operator.attributes["max"] == math.inf else None
    data = graph.tensors[operator.inputs[1]].data
    return None if data is None or data.size != 1 else float(data.reshape(()))


def _replaced(last: Operator, kind: str, source: str, attributes: dict[str, Any]) -> Operator:
    return Operator(
        kind=kind, name=last.name, inputs=(source,), outputs=last.outputs, attributes=attributes, source=last.source
    )
