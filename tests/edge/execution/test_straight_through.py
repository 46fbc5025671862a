"""The simulation with gradients: its own values, and slopes straight through the rounding, by closed formulas."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edge.errors import UnsupportedError
from edge.execution.integer import IntegerSimulation
from edge.execution.straight_through import Encode, StraightThrough
from edge.graph.graph import Quantization
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite
from edge.models.cbam import ConvolutionalBlockAttention
from edge.models.gct import GatedChannelTransformation
from edge.port import dequantize
from edge.quantization.qat.freeze import freeze
from edge.quantization.qat.phase import CALIBRATE, TRAIN_FROZEN
from edge.quantization.qat.prepare import prepare_qat, set_phase
from tests.support.one_operator import Parameters, activation, graph_of, weight_and_bias
from tests.support.quantization_networks import SIZE_HW, Branches, TinyResNet


def encoder(scale: float, zero_point: int) -> Encode:
    return lambda real: ((real / scale).round() + zero_point).clamp(-128, 127).to(torch.int8).contiguous()


def fully_connected(activation_name: str, out_scale: float) -> tuple[StraightThrough, torch.Tensor]:
    """Three outputs of two inputs: weights 10, -10 and 127 on a grid of 0.01."""
    source, target = Parameters(scale=0.05, zero_point=0), Parameters(scale=out_scale, zero_point=-128)
    integers = np.array([[10, 5], [-10, -5], [127, 127]])
    weight, bias = weight_and_bias(integers, np.array([0.01], np.float32), np.zeros(3, np.int32), np.float32(0.05))
    graph = graph_of(
        "Gemm",
        [activation("x", (1, 2), source)],
        activation("y", (1, 3), target),
        {"activation": activation_name},
        [weight, bias],
    )
    return StraightThrough(graph, encoder(0.05, 0)), torch.from_numpy(integers * np.float32(0.01))


def test_a_layer_has_its_weights_as_gradient_inside_the_range_and_none_outside() -> None:
    """y = (0.25, -0.25, 3.175): inside, rectified, and over the largest 2.55."""
    layer, weights = fully_connected("relu", 0.01)
    x = torch.tensor([[1.52, 0.98]], requires_grad=True)
    y = layer(x)
    np.testing.assert_allclose(y.detach().numpy(), [[0.2, 0.0, 2.55]], atol=1e-6)
    for index, expected in enumerate((weights[0], 0 * weights[1], 0 * weights[2])):
        (gradient,) = torch.autograd.grad(y[0, index], x, retain_graph=True)
        np.testing.assert_allclose(gradient[0], expected)


def test_the_rounded_value_is_passed_on_and_the_gradient_of_the_unrounded_one() -> None:
    layer, weights = fully_connected("none", 0.02)
    x = torch.tensor([[1.0, 1.0], [1.02, 1.0], [1.03, 1.0]], requires_grad=True)
    y = layer(x)[:, 0]
    assert y[0] == y[1] != y[2] or y[0] == y[1] == y[2]
    (gradient,) = torch.autograd.grad(y.sum(), x)
    np.testing.assert_allclose(gradient, weights[:1].expand(3, 2))


def prepared(model: nn.Module) -> nn.Module:
    torch.manual_seed(5)
    images = torch.rand(8, 3, *SIZE_HW) * 2 - 1
    module = prepare_qat(model.eval(), images[:1])
    set_phase(module, CALIBRATE)
    module.train()(images)
    set_phase(module, TRAIN_FROZEN)
    return module.eval()


class Gated(nn.Module):
    """A convolution, a gate and a convolution."""

    gate: Callable[[int], nn.Module]

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU6())
        self.attention = type(self).gate(16)
        self.head = nn.Conv2d(16, 5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.attention(self.stem(x)))  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped


class WithChannelGates(Gated):
    """GCT whose gates are open, so that gradients pass by its roots and norms."""

    gate = GatedChannelTransformation

    def __init__(self) -> None:
        super().__init__()
        assert isinstance(self.attention, GatedChannelTransformation)
        nn.init.normal_(self.attention.gate.weight, std=0.5)


class WithBothGates(Gated):
    """CBAM: largest values over space and over channels."""

    gate = ConvolutionalBlockAttention


@pytest.mark.parametrize("network", [TinyResNet, Branches, WithChannelGates, WithBothGates])
def test_values_are_the_simulations_bit_for_bit_and_gradients_those_of_training(network: type[nn.Module]) -> None:
    torch.manual_seed(1)
    module = prepared(network())
    graph = freeze(module)
    told = graph.tensors[graph.inputs[0]].quantization
    assert told is not None
    encode = encoder(float(told.scale[0]), int(told.zero_point[0]))
    images = (torch.rand(4, 3, *SIZE_HW) * 2 - 1).requires_grad_()
    values = StraightThrough(graph, encode)(images)
    raw = IntegerSimulation(graph).run([encode(images.detach()).numpy()])[0]
    out = graph.tensors[graph.outputs[0]].quantization
    assert out is not None
    real = dequantize(raw, float(out.scale[0]), int(out.zero_point[0]))
    np.testing.assert_array_equal(values.detach().numpy(), real)

    weights = torch.randn(values.shape)
    (mine,) = torch.autograd.grad((values * weights).sum(), images)
    (trained,) = torch.autograd.grad((module(images) * weights).sum(), images)
    assert torch.cosine_similarity(mine.flatten(), trained.flatten(), dim=0) > 0.99
    assert mine.norm() > 0


def test_both_layouts_have_one_gradient(road: Path) -> None:
    """The TFLite file is NHWC, the source NCHW."""
    first = read_onnx(road / "int8" / "source.onnx", batch=1)
    second = read_tflite(road / "int8" / "model.tflite")
    scales = [graph.tensors[graph.inputs[0]].quantization for graph in (first, second)]
    assert scales[0] is not None and scales[1] is not None
    encoders = [encoder(float(one.scale[0]), int(one.zero_point[0])) for one in scales if one is not None]
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    gradients = []
    for graph, encode, axes in ((first, encoders[0], (0, 1, 2, 3)), (second, encoders[1], (0, 2, 3, 1))):
        dtype = graph.tensors[graph.inputs[0]].dtype
        assert dtype in ("int8", "uint8")
        shifted = encode if dtype == "int8" else _unsigned(scales[0])
        x = images.permute(axes).clone().requires_grad_()
        output = StraightThrough(graph, shifted)(x)
        (gradient,) = torch.autograd.grad(output.reshape(2, -1)[:, 3].sum(), x)
        gradients.append(gradient.permute(np.argsort(axes).tolist()))
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-3, atol=1e-6)
    assert gradients[0].abs().max() > 0


def _unsigned(told: Quantization | None) -> Encode:
    assert told is not None
    scale, zero_point = float(told.scale[0]), int(told.zero_point[0])
    return lambda real: ((real / scale).round() + zero_point).clamp(0, 255).to(torch.uint8).contiguous()


def test_an_operator_without_a_formula_is_refused_by_name() -> None:
    source = activation("x", (1, 4), Parameters(scale=0.1, zero_point=0))
    with pytest.raises(UnsupportedError, match="FancyNorm"):
        StraightThrough(
            graph_of("FancyNorm", [source], activation("y", (1, 4), Parameters(scale=0.1, zero_point=0)), {}),
            encoder(0.1, 0),
        )
