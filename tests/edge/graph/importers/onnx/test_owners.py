"""Every node of an ONNX file is told with the operators that it became part of."""

import numpy as np
import onnx
import pytest
import torch

from converters.onnx.file import onnx_bytes
from converters.onnxruntime.form import onnxruntime_form
from edge.graph.graph import Graph
from edge.graph.importers.onnx.owners import owned_nodes, with_node_names
from edge.graph.importers.onnx.reader import read_onnx
from edge.models.registry import build
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph


@pytest.fixture(scope="module")
def graph() -> Graph:
    """A small network with additions, in float."""
    torch.manual_seed(0)
    return float_graph(build("mobilenet_v2", classes=3, width=0.35, resolution=32).eval(), torch.zeros(1, 3, 32, 32))


@pytest.mark.unhurried
@pytest.mark.parametrize("form", ["float", "qdq", "onnxruntime"])
def test_every_operator_owns_nodes_and_no_node_of_another_name(graph: Graph, form: str) -> None:
    image = np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)
    integer = calibrate(graph, [image], estimator="minmax")
    data = {"float": onnx_bytes(graph), "qdq": onnx_bytes(integer), "onnxruntime": onnxruntime_form(integer)}[form]
    read = read_onnx(data)
    nodes = owned_nodes(data, read)
    assert {place for node in nodes for place in node.operators} == set(range(len(read.operators)))
    for node in nodes:
        assert len(node.operators) == 1
        name = read.operators[node.operators[0]].name
        if not node.kind.endswith("Linear"):
            assert node.name == name or node.name.startswith(f"{name}/")


def test_a_rounding_belongs_to_the_operator_that_it_rounds(graph: Graph) -> None:
    image = np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)
    data = onnx_bytes(calibrate(graph, [image], estimator="minmax"))
    read = read_onnx(data)
    ends = {name: place for place, operator in enumerate(read.operators) for name in operator.outputs}
    rounded = [node for node in owned_nodes(data, read) if node.kind == "QuantizeLinear"]
    assert rounded
    assert all(node.operators == (ends[node.outputs[0]],) for node in rounded)


def test_nodes_without_a_name_or_with_the_same_get_one_and_nothing_else_changes(graph: Graph) -> None:
    data = onnx_bytes(graph)
    assert with_node_names(data) is None
    model = onnx.load_from_string(data)
    model.graph.node[0].name = ""
    model.graph.node[2].name = model.graph.node[1].name
    named = with_node_names(model.SerializeToString())
    assert named is not None
    again = onnx.load_from_string(named)
    assert len({node.name for node in again.graph.node} - {""}) == len(again.graph.node)
    for node, other in zip(again.graph.node, onnx.load_from_string(data).graph.node, strict=True):
        node.name = other.name
    assert again.SerializeToString() == data
