"""The float run gives torch's answers for a network, in both layouts, and drops what is no longer needed."""

import numpy as np
import pytest
import torch

from converters.passes.layout.nhwc import to_nhwc
from edge.execution.float_run import FloatRun, run_float
from edge.graph.graph import Graph, Operator, Tensor
from edge.models.registry import build
from edge.quantization.qat.freeze import float_graph

torch.set_num_threads(1)
NETWORKS = {
    "mobilenet_v1": ({"classes": 5, "width": 0.25, "resolution": 32}, (32, 32)),
    "mobilenet_v2": ({"classes": 5, "width": 0.35, "resolution": 32}, (32, 32)),
    "fast_scnn": ({"classes": 3, "resolution_hw": (64, 96)}, (64, 96)),
}


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_network_gives_what_the_module_gives(name: str) -> None:
    """NCHW and NHWC, a batch of two."""
    arguments, size_hw = NETWORKS[name]
    torch.manual_seed(0)
    model = build(name, **arguments).eval()
    x = torch.randn(2, 3, *size_hw)
    with torch.no_grad():
        expected = model(x).numpy()
    graph = float_graph(model, x[:1])
    found = FloatRun(graph).run([x.numpy()])[0]
    assert np.allclose(found, expected, atol=1e-4, rtol=1e-4)
    turned = FloatRun(to_nhwc(graph)).run([x.numpy().transpose(0, 2, 3, 1).copy()])[0]
    again = turned.transpose(0, 3, 1, 2) if turned.ndim == 4 else turned
    assert np.allclose(again, expected, atol=1e-4, rtol=1e-4)


def one(kind: str, attributes: dict[str, object], x: np.ndarray, shape: tuple[int, ...], layout: str) -> np.ndarray:
    """The output of one float operator."""
    operator = Operator(kind=kind, name="it", inputs=("x",), outputs=("y",), attributes=attributes)
    tensors = {
        "x": Tensor(name="x", shape=x.shape, dtype="float32"),
        "y": Tensor(name="y", shape=shape, dtype="float32"),
    }
    graph = Graph(name="g", layout=layout, operators=(operator,), tensors=tensors, inputs=("x",), outputs=("y",))  # type: ignore[arg-type]
    return run_float(graph, [x])["y"]


def test_resize_is_torchs() -> None:
    """Half-pixel and align-corners bilinear."""
    x = np.random.default_rng(0).normal(size=(1, 3, 5, 7)).astype(np.float32)
    for coordinates, corners in (("half_pixel", False), ("align_corners", True)):
        expected = torch.nn.functional.interpolate(
            torch.from_numpy(x), size=(11, 4), mode="bilinear", align_corners=corners
        ).numpy()
        attributes = {"mode": "linear", "coordinates": coordinates, "size_hw": (11, 4)}
        assert np.allclose(one("Resize", attributes, x, (1, 3, 11, 4), "nchw"), expected, atol=1e-5)


def test_average_pool_leaves_padding_out_or_counts_it() -> None:
    """As ONNX's count_include_pad says."""
    x = np.ones((1, 1, 4, 4), np.float32)
    attributes: dict[str, object] = {"kernel": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1), "activation": "none"}
    without = one("AveragePool", {**attributes, "count_include_pad": False}, x, (1, 1, 4, 4), "nchw")
    counted = one("AveragePool", {**attributes, "count_include_pad": True}, x, (1, 1, 4, 4), "nchw")
    assert np.allclose(without, 1.0)
    assert counted[0, 0, 0, 0] == pytest.approx(4 / 9)


def test_activations_can_be_dropped_as_they_are_made() -> None:
    """The stream yields every name once, the input first."""
    graph = float_graph(build("mobilenet_v1", classes=2, width=0.25, resolution=32).eval(), torch.zeros(1, 3, 32, 32))
    names = [name for name, _ in FloatRun(graph).stream([np.zeros((1, 3, 32, 32), np.float32)])]
    assert names[0] == graph.inputs[0]
    assert len(names) == len(set(names)) == len(graph.operators) + 1
