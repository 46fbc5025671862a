import numpy as np
import pytest
import torch

from edge.artifact import scheme
from edge.artifact.scheme import activation_parameters
from edge.execution.kernels.integer_rounding import average_pool, resize
from edge.quantization.qat.fake_quant import (
    PIECE,
    FakeQuantize,
    LearnedFakeQuantize,
    fake_quantize_bias,
    fake_quantize_weight,
    round_to_grid,
    weight_scales,
)


@pytest.mark.parametrize("ends", [(-1.3, 2.1), (0.0, 6.0), (-5.0, 0.0)])
def test_values_are_those_of_torchs_own_kernel(ends: tuple[float, float]) -> None:
    scale, zero_point = activation_parameters(*ends)
    x = torch.randn(10_000) * 3
    expected = torch.fake_quantize_per_tensor_affine(x, float(scale), zero_point, -128, 127)
    assert torch.equal(round_to_grid(x, float(scale), zero_point), expected)


def test_the_gradient_passes_inside_the_range_only() -> None:
    x = torch.tensor([-0.1, 0.0, 0.5, 0.99, 1.5], requires_grad=True)
    scale, zero_point = activation_parameters(0.0, 1.0)
    FakeQuantize.apply(x, float(scale), zero_point).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0.0, 0.0, 1.0, 1.0, 0.0]


def test_the_ends_learn_from_what_is_cut_and_from_rounding() -> None:
    low, high = torch.tensor(-1.0, requires_grad=True), torch.tensor(2.0, requires_grad=True)
    scale, zero_point = activation_parameters(-1.0, 2.0)
    step = float(scale)
    x = torch.tensor([3.0, 5.0, -4.0, 10.3 * step])
    y = LearnedFakeQuantize.apply(x.clone().requires_grad_(), low, high, step, zero_point)
    y.backward(torch.ones(4))
    rounding = (10 - 10.3) / 255
    assert high.grad is not None and low.grad is not None
    assert float(high.grad) == pytest.approx((2 + rounding) / 2, abs=1e-5)  # divided by sqrt(4 values)
    assert float(low.grad) == pytest.approx((1 - rounding) / 2, abs=1e-5)


@pytest.mark.parametrize("granularity", ["per_channel", "per_tensor"])
def test_weights_in_torch_and_numpy_have_the_same_bits(granularity: scheme.Granularity) -> None:
    weight = torch.randn(64, 16, 3, 3) * torch.logspace(-12, 2, 64)[:, None, None, None]
    bias = torch.randn(64)
    scale = weight_scales(weight, bias, 0.0123, granularity)
    expected = scheme.weight_scales(weight.numpy(), bias.numpy(), 0.0123, granularity)
    assert scale.numpy().tobytes() == expected.tobytes()
    integers = scheme.quantize_weight(weight.numpy(), expected)
    assert np.array_equal(fake_quantize_weight(weight, scale).numpy(), integers * expected[:, None, None, None])
    grid = np.float64(0.0123) * expected.astype(np.float64)
    rounded = (scheme.quantize_bias(bias.numpy(), 0.0123, expected) * grid).astype(np.float32)
    assert np.allclose(fake_quantize_bias(bias, 0.0123, scale).numpy(), rounded, rtol=0, atol=1e-6)


def grid_values(shape: tuple[int, ...], scale: float, zero_point: int) -> tuple[torch.Tensor, torch.Tensor]:
    raw = torch.randint(-128, 128, shape)
    return raw, (raw - zero_point).float() * scale


@pytest.mark.parametrize("zero_point", [-128, -3, 40])
@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 0, 1, 1)])
def test_average_pool_rounds_as_the_integer_kernel(zero_point: int, pads: tuple[int, int, int, int]) -> None:
    raw, x = grid_values((2, 5, 12, 12), 0.0371, zero_point)
    result = average_pool(x, (2, 2), (2, 2), pads, (0.0371, zero_point))
    top, left, bottom, right = pads
    padded = torch.nn.functional.pad(raw.float(), (left, right, top, bottom))
    ones = torch.nn.functional.pad(torch.ones(1, 1, 12, 12), (left, right, top, bottom))
    total = torch.nn.functional.avg_pool2d(padded, 2, 2, divisor_override=1).int()
    count = torch.nn.functional.avg_pool2d(ones, 2, 2, divisor_override=1).int()
    expected = torch.where(total > 0, (total + count // 2) // count, -((-total + count // 2) // count))
    assert torch.equal(torch.round(result / 0.0371).int() + zero_point, expected)


@pytest.mark.parametrize("size_hw", [(24, 24), (45, 60), (12, 15)])
def test_resize_rounds_as_the_integer_kernel(size_hw: tuple[int, int]) -> None:
    from edge.execution.integer import IntegerSimulation
    from edge.graph.graph import Graph, Operator, Tensor, per_tensor

    raw, x = grid_values((2, 3, 6, 6), 0.0213, -7)
    parameters = per_tensor(0.0213, -7)
    tensors = [
        Tensor(name="x", shape=(1, 3, 6, 6), dtype="int8", quantization=parameters),
        Tensor(name="y", shape=(1, 3, *size_hw), dtype="int8", quantization=parameters),
    ]
    attributes = {"mode": "linear", "coordinates": "half_pixel", "size_hw": size_hw}
    graph = Graph(
        name="resize",
        layout="nchw",
        operators=(Operator(kind="Resize", name="r", inputs=("x",), outputs=("y",), attributes=attributes),),
        tensors={tensor.name: tensor for tensor in tensors},
        inputs=("x",),
        outputs=("y",),
    )
    (expected,) = IntegerSimulation(graph).run([raw.numpy().astype(np.int8)])
    result = resize(x, size_hw, "half_pixel", (float(parameters.scale[0]), -7))
    assert np.array_equal(np.rint(result.numpy() / parameters.scale[0]) - 7, expected)


def test_pool_and_resize_keep_the_float_gradient() -> None:
    x = torch.randn(1, 2, 6, 6, requires_grad=True)
    average_pool(x, (2, 2), (2, 2), (0, 0, 0, 0), (0.1, 0)).sum().backward()
    assert x.grad is not None and torch.allclose(x.grad, torch.full_like(x, 0.25))


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "a view with gaps"])
def test_large_tensors_are_rounded_as_small_ones(layout: str) -> None:
    torch.manual_seed(4)
    x = torch.randn(3, 40, 41, 43) * 4
    if layout == "channels_last":
        x = x.to(memory_format=torch.channels_last)
    elif layout == "a view with gaps":
        x = x[:, :, :, 1:]
    found = round_to_grid(x, 0.03, -7)
    rows = torch.stack([torch.stack([round_to_grid(row, 0.03, -7) for row in image]) for image in x])
    assert x.numel() > 2 * PIECE > rows[0, 0].numel()
    assert torch.equal(found, rows)
    assert found.stride() == x.stride() or layout == "a view with gaps"
