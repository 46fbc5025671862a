"""Counts of a graph: closed formulas, and lifetimes worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from converters.packaging.integer_only import require_integer_only
from edge.errors import UnsupportedError
from edge.graph.analyses.counts import count_graph
from edge.graph.analyses.float_operators import float_operators
from edge.graph.graph import Graph, Operator, Tensor


def test_multiply_adds_and_parameters_follow_the_formulas(small_graph: Graph) -> None:
    cost = count_graph(small_graph)
    positions = 8 * 6
    stem, depthwise, project, logits = positions * 8 * 27, positions * 8 * 9, positions * 64, 40
    assert [each.multiply_adds for each in cost.operators] == [stem, depthwise, project, 0, 0, logits]
    assert cost.multiply_adds == stem + depthwise + project + logits
    assert cost.parameters == (216 + 8) + (72 + 8) + (64 + 8) + (40 + 5)
    assert cost.weights_bytes == (216 + 72 + 64 + 40) + 4 * (8 + 8 + 8 + 5)
    assert cost.unruled == ()


def test_peak_activation_bytes_count_what_is_alive_together(small_graph: Graph) -> None:
    image, feature = 16 * 12 * 3, 8 * 6 * 8
    alive = [each.activation_bytes for each in count_graph(small_graph).operators]
    # The stem stays until the sum reads it.
    assert alive == [image + feature, 2 * feature, 3 * feature, 3 * feature, feature + 8, 8 + 5]
    assert count_graph(small_graph).peak_activation_bytes == 3 * feature


def test_a_shared_weight_is_counted_once() -> None:
    weight = Tensor(name="w", shape=(4, 4), dtype="float32", data=np.ones((4, 4), np.float32))
    activations = [Tensor(name=name, shape=(1, 4), dtype="float32") for name in "xyz"]
    operators = tuple(
        Operator(kind="Gemm", name=b, inputs=(a, "w", ""), outputs=(b,), attributes={"activation": "none"})
        for a, b in ("xy", "yz")
    )
    tensors = {tensor.name: tensor for tensor in (weight, *activations)}
    graph = Graph(name="g", layout="nhwc", operators=operators, tensors=tensors, inputs=("x",), outputs=("z",))
    cost = count_graph(graph)
    assert (cost.parameters, cost.weights_bytes, cost.multiply_adds) == (16, 64, 32)


def test_statistics_and_integer_operands_are_no_parameters() -> None:
    vectors = [Tensor(name=n, shape=(3,), dtype="float32", data=np.ones(3, np.float32)) for n in ("g", "b", "m", "v")]
    index = Tensor(name="axes", shape=(2,), dtype="int32", data=np.zeros(2, np.int32))
    activations = [Tensor(name=name, shape=(1, 2, 2, 3), dtype="float32") for name in "xyz"]
    operators = (
        Operator(
            kind="BatchNorm", name="y", inputs=("x", "g", "b", "m", "v"), outputs=("y",), attributes={"epsilon": 1e-3}
        ),
        Operator(kind="FOREIGN", name="z", inputs=("y", "axes"), outputs=("z",)),
    )
    tensors = {tensor.name: tensor for tensor in (*vectors, index, *activations)}
    graph = Graph(name="g", layout="nhwc", operators=operators, tensors=tensors, inputs=("x",), outputs=("z",))
    cost = count_graph(graph)
    assert cost.parameters == 6
    assert cost.unruled == ("FOREIGN (z)",)
    assert cost.operators[1].multiply_adds is None


def test_an_integer_graph_has_no_float_operator(small_graph: Graph) -> None:
    assert float_operators(small_graph) == []
    require_integer_only(small_graph)


def test_float_operators_are_named_and_allowed_by_name(small_graph: Graph) -> None:
    scores = Tensor(name="scores", shape=(1, 5), dtype="float32")
    probabilities = Tensor(name="probabilities", shape=(1, 5), dtype="float32")
    operators = (
        *small_graph.operators,
        Operator(kind="Dequantize", name="scores", inputs=("logits",), outputs=("scores",)),
        Operator(
            kind="Softmax", name="probabilities", inputs=("scores",), outputs=("probabilities",), attributes={"axis": 1}
        ),
    )
    tensors = {**small_graph.tensors, "scores": scores, "probabilities": probabilities}
    graph = replace(small_graph, operators=operators, tensors=tensors, outputs=("probabilities",))
    assert [operator.kind for operator in float_operators(graph)] == ["Dequantize", "Softmax"]
    with pytest.raises(
        UnsupportedError, match=r"1 operator would stay in float: Softmax \(probabilities\).*--allow-float Softmax$"
    ):
        require_integer_only(graph)
    with pytest.raises(UnsupportedError, match=r"1 operator would stay in float: Softmax"):
        require_integer_only(graph, allowed={"Dequantize"})
    require_integer_only(graph, allowed={"Softmax"})
