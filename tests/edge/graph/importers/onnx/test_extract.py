"""A part extracted out of an ONNX file runs alone and gives what it gives inside."""

from pathlib import Path

import numpy as np
import pytest
import torch

from converters.onnx.file import onnx_bytes
from edge.engines.onnx_session import open_onnxruntime
from edge.errors import UsageError
from edge.execution.float_run import run_float
from edge.graph.graph import Graph
from edge.graph.importers.onnx.extract import OnnxExtractor
from edge.graph.importers.onnx.reader import read_onnx
from edge.models.registry import build
from edge.quantization.qat.freeze import float_graph


@pytest.fixture(scope="module")
def graph() -> Graph:
    """A small network, read back from its file."""
    torch.manual_seed(0)
    model = build("mobilenet_v1", classes=3, width=0.25, resolution=32).eval()
    return read_onnx(onnx_bytes(float_graph(model, torch.zeros(1, 3, 32, 32))))


def test_every_operator_runs_alone(graph: Graph, tmp_path: Path) -> None:
    """With the activations of the whole as inputs, its own output comes out."""
    extractor = OnnxExtractor(onnx_bytes(graph), graph)
    x = np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)
    values = run_float(graph, [x])
    for operator in graph.operators[::5]:
        names = [name for name in operator.inputs if name and graph.tensors[name].data is None]
        path = tmp_path / "part.onnx"
        path.write_bytes(extractor.extract(names, operator.outputs))
        found = open_onnxruntime(path).run([values[name] for name in names])[0]
        assert np.allclose(found, values[operator.outputs[0]], atol=1e-5), operator.name


def test_an_output_that_needs_more_inputs_is_refused(graph: Graph) -> None:
    """Nothing is made up."""
    extractor = OnnxExtractor(onnx_bytes(graph), graph)
    with pytest.raises(UsageError, match="made from nothing"):
        extractor.extract([graph.operators[3].outputs[0]], [graph.operators[1].outputs[0]])
