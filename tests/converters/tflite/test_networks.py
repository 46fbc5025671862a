"""Whole networks through the writer: float files compute what PyTorch computes, integer files hold integers only."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.engines.engine import open_session
from edge.execution.integer import IntegerSimulation
from edge.graph.analyses.counts import count_graph
from edge.graph.analyses.float_operators import float_operators
from edge.graph.graph import Graph
from edge.graph.importers.tflite.reader import read_tflite
from edge.models.blocks import SamePadConv2d
from edge.models.listing import list_models
from edge.models.registry import build
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph

pytestmark = pytest.mark.unhurried  # whole networks are written

NETWORKS: dict[str, dict[str, Any]] = {
    "mobilenet_v1": {"classes": 10, "width": 0.25, "resolution": 96},
    "mobilenet_v2": {"classes": 10, "width": 0.35, "resolution": 96},
    "fast_scnn": {"classes": 5, "resolution_hw": (96, 128)},
    "deeplab_mobilenet_v1": {"classes": 5, "width": 0.25, "resolution_hw": (96, 128), "output_stride": 8},
    "deeplab_mobilenet_v2": {"classes": 5, "width": 0.35, "resolution_hw": (97, 129), "pyramid": True},
}
ALLOWED = {"Conv", "Gemm", "Add", "AveragePool", "Mean", "Resize", "Concat", "Reshape"}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads on a busy machine wait for each other longer than these small networks take."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network(name: str) -> tuple[torch.nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    model = build(name, **NETWORKS[name]).eval()
    return model, torch.rand(1, 3, *model.input_shape[2:]) * 2 - 1


@pytest.mark.parametrize("name", NETWORKS)
def test_float_file_computes_what_pytorch_computes(name: str, tmp_path: Path) -> None:
    model, image = network(name)
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_bytes(to_nhwc(float_graph(model, image))))
    with torch.no_grad():
        expected = model(image)
    expected = expected.movedim(1, -1).numpy()
    session = open_session("litert", path)
    found = session.run([np.ascontiguousarray(image.movedim(1, -1).numpy())])[0]
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
    assert session.info.delegated_operators == session.info.operators


@pytest.mark.parametrize("name", NETWORKS)
def test_counts_of_the_file_equal_those_of_the_network(name: str) -> None:
    model, image = network(name)
    counted = count_graph(read_tflite(tflite_bytes(to_nhwc(float_graph(model, image)))))
    listed = list_models([(name, NETWORKS[name])])[0]
    assert counted.multiply_adds == listed.multiply_adds
    scales_and_shifts = sum(layer.num_features for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d))
    # Folding turns the scale and shift of each batch norm into one bias.
    assert counted.parameters == listed.parameters - scales_and_shifts
    assert counted.unruled == ()


@pytest.mark.parametrize("name", NETWORKS)
def test_integer_file_holds_integers_only_and_every_parameter(name: str) -> None:
    model, image = network(name)
    graph = calibrate(float_graph(model, image), [image.numpy()], estimator="minmax")
    file = read_tflite(tflite_bytes(to_nhwc(graph)))
    assert float_operators(file) == []
    assert {operator.kind for operator in file.operators} <= ALLOWED
    assert [file.tensors[tensor].dtype for tensor in (*file.inputs, *file.outputs)] == ["int8", "int8"]
    assert_same_parameters(graph, file)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name.startswith("deeplab")])
def test_a_dilated_convolution_is_one_operator_and_the_simulation_gives_its_integers(name: str, tmp_path: Path) -> None:
    """Not SPACE_TO_BATCH, a convolution and BATCH_TO_SPACE; XNNPACK takes the whole file, and 0 values differ."""
    model, image = network(name)
    with torch.no_grad():  # batch norms of real statistics: otherwise nothing of the image reaches the output
        for _ in range(40):
            model.train()(torch.rand(4, *image.shape[1:]) * 2 - 1)
    model.eval()
    graph = to_nhwc(calibrate(float_graph(model, image), [image.numpy()], estimator="minmax"))
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_bytes(graph))
    file = read_tflite(path)
    dilated = [
        operator
        for operator in file.operators
        if operator.kind == "Conv" and operator.attributes["dilations"] != (1, 1)
    ]
    layers = [layer for layer in model.modules() if isinstance(layer, SamePadConv2d)]
    assert len(dilated) == sum(layer.dilation != (1, 1) for layer in layers) > 0
    session = open_session("litert", path)
    assert session.info.delegated_operators == session.info.operators == len(file.operators)
    for seed in range(3):
        given = np.random.default_rng(seed).integers(-128, 128, file.tensors[file.inputs[0]].shape, dtype=np.int8)
        (expected,), (found,) = session.run([given]), IntegerSimulation(file).run([given])
        np.testing.assert_array_equal(found, expected)
        assert expected.astype(int).std((1, 2)).max() > 2  # it differs from place to place


def assert_same_parameters(nchw: Graph, file: Graph) -> None:
    """Every tensor of the frozen graph is in the file, by name, with the same scales, zero points and integers."""
    for name, tensor in nchw.tensors.items():
        if tensor.quantization is None:
            continue
        again = file.tensors[name]
        assert tensor.quantization.same_as(again.quantization), name
        if tensor.data is not None:
            np.testing.assert_array_equal(tensor.data, again.data)
