"""Kernels of involutions are read from graphs, float and integer, as the modules make them; and drawn."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edge.execution.integer import IntegerSimulation
from edge.explain.involutions import Kernels, kernels_on
from edge.explain.kernel_picture import draw_kernels
from edge.models.involution import Involution
from edge.models.registry import build
from edge.quantization.qat.freeze import float_graph, freeze
from tests.edge.explain.test_gates import PREPROCESS
from tests.edge.models.test_networks import SMALL
from tests.edge.quantization.qat.test_attention import Involved, Small, images, prepared_model, quantized, trained


@pytest.mark.parametrize(("name", "count"), [("rednet", 9), ("mobilenet_v2", 17)])
def test_kernels_are_those_that_the_modules_make(name: str, count: int) -> None:
    torch.manual_seed(0)
    options = {} if name == "rednet" else {"attention": "involution"}
    model = build(name, **SMALL[name], **options).eval()
    seen: list[Tensor] = []
    for module in model.modules():
        if isinstance(module, Involution):
            module.expand.register_forward_hook(lambda _, inputs, output: seen.append(output.detach()))
    x = torch.randn(model.input_shape)
    with torch.no_grad():
        model(x)
    for module in model.modules():
        module._forward_hooks.clear()
    found = kernels_on(float_graph(model, x), x.numpy())
    assert len(found) == len(seen) == count
    for kernels, made in zip(found, seen, strict=True):
        rows, columns, groups, size, _ = kernels.values.shape
        by_shift = made[0].reshape(size, size, groups, rows, columns).numpy()
        scale = max(float(np.abs(by_shift).max()), 1e-6)
        np.testing.assert_allclose(kernels.values.transpose(3, 4, 2, 0, 1), by_shift, atol=1e-4 * scale)
    assert found[0].layer == ("stem.1.involution" if name == "rednet" else "blocks.0.instead.involution")


def test_the_kernels_of_integers_are_those_that_run() -> None:
    torch.manual_seed(0)
    graph = freeze(trained(prepared_model(Small(Involved), "learned")))
    x = quantized(images(1).numpy(), graph, graph.inputs[0])
    (kernels,) = kernels_on(graph, x)
    name = next(operator.outputs[0] for operator in graph.operators if operator.name.endswith("expand"))
    quantization = graph.tensors[name].quantization
    assert quantization is not None and kernels.values.shape == (12, 12, 2, 7, 7)
    integers = IntegerSimulation(graph).run_all([x])[name].astype(np.int64) - quantization.zero_point[0]
    real = (integers * np.float32(quantization.scale[0]))[0].reshape(7, 7, 2, 12, 12)
    np.testing.assert_allclose(kernels.values, real.transpose(3, 4, 2, 0, 1), rtol=1e-6)


def test_other_products_are_no_involutions() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 9, 1)

        def forward(self, x: Tensor) -> Tensor:
            return (self.conv(x).reshape(x.shape[0], 9, 1, -1) * x.reshape(x.shape[0], 1, 3, -1)).sum(1)

    x = images(1)
    assert kernels_on(float_graph(Gated().eval(), x), x.numpy()) == ()


def test_strength_and_variation_are_what_they_say_and_a_picture_shows_them() -> None:
    values = np.zeros((4, 6, 1, 3, 3), np.float32)
    values[:, :, 0, 1, 1] = 3.0  # the same at every position: a convolution
    same = Kernels(layer="same", values=values)
    assert same.variation == 0.0 and same.strength == pytest.approx(np.ones((4, 6)))
    other = values.copy()
    other[3, 5] *= -2
    differing = Kernels(layer="differing", values=other)
    assert differing.variation > 0.5 and float(differing.strength.max()) == pytest.approx(2.0)
    frame = np.full((80, 120, 3), 128, np.uint8)
    drawn = draw_kernels(frame, [same, differing], PREPROCESS)
    tile = drawn.shape[0] // 2
    corner, middle = drawn[-3, 317].astype(int), drawn[tile + tile // 2, 160].astype(int)
    assert corner[0] - corner[2] > 40 and abs(middle[0] - middle[2]) <= 2  # red in the strongest place alone
