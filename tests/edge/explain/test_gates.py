"""Gates are read from graphs, float and integer, as the modules that they come from have them."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edge.execution.integer import IntegerSimulation
from edge.explain.gate_picture import draw_channel_gates, draw_spatial_gates
from edge.explain.gates import ChannelGates, SpatialGates, channel_gates, spatial_gates
from edge.models.cbam import ConvolutionalBlockAttention
from edge.models.gct import GatedChannelTransformation
from edge.models.registry import build
from edge.quantization.qat.freeze import float_graph, freeze
from edge.vision.preprocess import Preprocess
from tests.edge.models.test_networks import SMALL
from tests.edge.quantization.qat.test_attention import Small, images, opened, prepared_model, quantized, trained

HALF = (127.5, 127.5, 127.5)
PREPROCESS = Preprocess(
    colour_order="rgb", height=40, width=60, interpolation="bilinear", fit="stretch", crop_fraction=1.0, mean=HALF,
    std=HALF,
)  # fmt: skip


def network(attention: str) -> nn.Module:
    torch.manual_seed(0)
    return opened(build("mobilenet_v2", **SMALL["mobilenet_v2"], attention=attention)).eval()


def test_the_shares_of_a_layer_are_those_of_the_signs_of_gamma() -> None:
    model = network("gct")
    first = model.blocks[0].before
    first.gate.weight.data.copy_(torch.linspace(-1, 2, first.gamma.numel()).reshape(first.gate.weight.shape))
    model.blocks[1].before.gate.weight.data.zero_()
    found = channel_gates(float_graph(model, torch.zeros(model.input_shape)))
    assert [gates.layer for gates in found] == [f"blocks.{index}.before" for index in range(17)]
    for gates, block in zip(found, model.blocks, strict=True):
        np.testing.assert_allclose(gates.gamma, block.before.gamma.detach().numpy(), rtol=1e-5)
    expected = [float((first.gamma > 0).float().mean()), float((first.gamma < 0).float().mean())]
    assert [found[0].competing, found[0].cooperating] == pytest.approx(expected) and 0.6 < expected[0] < 0.7
    assert (found[1].competing, found[1].cooperating) == (0.0, 0.0)


def test_spatial_gates_are_what_the_module_multiplies_with() -> None:
    model = network("cbam")
    seen: list[Tensor] = []
    hooks = [
        module.norm.register_forward_hook(lambda _, inputs, output: seen.append(output.sigmoid()))
        for module in model.modules()
        if isinstance(module, ConvolutionalBlockAttention)
    ]
    x = torch.randn(model.input_shape)
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    found = spatial_gates(float_graph(model, torch.zeros(model.input_shape)), x.numpy())
    assert [gates.layer for gates in found] == [f"blocks.{index}.after" for index in range(17)]
    for gates, values in zip(found, seen, strict=True):
        np.testing.assert_allclose(gates.values, values[0, 0].numpy(), atol=1e-5)


def test_the_gates_of_integers_are_those_that_run() -> None:
    torch.manual_seed(0)
    prepared = trained(prepared_model(opened(Small(GatedChannelTransformation)), "learned"))
    (gates,) = channel_gates(freeze(prepared))
    gamma = prepared.layers["attention/gate"].layer.weight.detach().flatten().numpy()
    assert gates.layer == "attention" and np.array_equal(np.sign(gates.gamma), np.sign(gamma))
    np.testing.assert_allclose(gates.gamma, gamma, rtol=0.01)

    graph = freeze(trained(prepared_model(Small(ConvolutionalBlockAttention), "learned")))
    x = quantized(images(1).numpy(), graph, graph.inputs[0])
    (on_image,) = spatial_gates(graph, x)
    (name,) = {operator.outputs[0] for operator in graph.operators if graph.tensors[operator.outputs[0]].shape[1] == 1
               and operator.kind == "Sigmoid"}  # fmt: skip
    integers = IntegerSimulation(graph).run_all([x])[name].astype(np.int64)
    assert len(np.unique(integers)) > 5
    np.testing.assert_array_equal(on_image.values, (integers[0, 0] + 128) / 256)


def test_a_network_without_gates_has_none() -> None:
    graph = float_graph(network("none"), torch.zeros(1, 3, 40, 40))
    assert channel_gates(graph) == () and spatial_gates(graph, np.zeros((1, 3, 40, 40), np.float32)) == ()


def test_channels_are_drawn_by_their_sign() -> None:
    layers = [ChannelGates(layer="a", gamma=np.float32([1, -1, -1, -1])), ChannelGates(layer="b", gamma=np.zeros(3))]
    drawn = draw_channel_gates(layers).astype(int)
    red, blue = drawn[39, 190:750, 0] > drawn[39, 190:750, 2], drawn[39, 190:750, 0] < drawn[39, 190:750, 2]
    assert (red.sum(), blue.sum()) == (140, 420) and blue[:420].all()
    assert (drawn[65, 190:750] == 255).all()


def test_a_photograph_is_red_where_the_gate_is_open() -> None:
    values = np.zeros((2, 2), np.float32)
    values[0, 1] = 0.5
    frame = np.full((200, 300, 3), 200, np.uint8)
    drawn = draw_spatial_gates(frame, [SpatialGates(layer="a", values=values)], PREPROCESS)[26:, :320].astype(int)
    red = drawn[:, :, 0] > drawn[:, :, 2] + 50
    assert red[5:100, 165:315].all() and not red[112:].any() and not red[:, :155].any()


@pytest.mark.parametrize(("shape_hw", "height"), [((1, 2000), 1), ((4000, 2), 1280)])
def test_a_photograph_of_any_shape_is_drawn(shape_hw: tuple[int, int], height: int) -> None:
    values = np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)
    drawn = draw_spatial_gates(np.zeros((*shape_hw, 3), np.uint8), [SpatialGates(layer="a", values=values)], PREPROCESS)
    assert drawn.shape == (26 + height, 960, 3)
