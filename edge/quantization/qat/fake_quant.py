"""Fake quantization: float tensors rounded to the grid of their integers, with gradients.

Activations: q = rint(x * f32(1 / scale)), half to even, clamped to [-128 - zero_point, 127 - zero_point] (in 16 bits
to [-32767, 32767]), times scale. Written with four in-place vector operations, of large tensors piece by piece, because
torch.fake_quantize_per_tensor_affine takes nearly four times as long on a CPU (torch 2.13, one thread, AVX-512: 4.0 ns
against 1.1 ns per value). Gradient: straight through inside the range, zero outside and at its ends, so that a fused
ReLU needs no pass of its own.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from edge.artifact.scheme import BIAS_LIMIT, INT8_SCHEME, SMALLEST_WEIGHT, WEIGHT_MAX, Granularity
from edge.quantization.qat.ranks import mean_over_ranks

Limits = tuple[int, int]
INT8_LIMITS: Limits = INT8_SCHEME.activation_limits


PIECE = 2**16
"""Values that the four operations take one after the other while they are in a core's cache: 256 KiB."""


@torch.no_grad()
def round_to_grid(x: Tensor, scale: float, zero_point: int, limits: Limits = INT8_LIMITS) -> Tensor:
    """Values of `x` on the grid of integers within the limits, float32, same shape; no gradient."""
    low, high = limits[0] - zero_point, limits[1] - zero_point
    if not _in_pieces(x):
        return torch.mul(x, 1.0 / scale).round_().clamp_(low, high).mul_(scale)
    grid = torch.empty_like(x)
    flat = (torch.split(tensor.as_strided((x.numel(),), (1,)), PIECE) for tensor in (x, grid))
    for values, piece in zip(*flat, strict=True):
        torch.mul(values, 1.0 / scale, out=piece).round_().clamp_(low, high).mul_(scale)
    return grid


def _in_pieces(x: Tensor) -> bool:
    """Whether a tensor is larger than a core's cache, of the processor, and without gaps in memory."""
    if x.numel() <= 2 * PIECE or x.device.type != "cpu":
        return False
    return x.is_contiguous() or (x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last))


class FakeQuantize(torch.autograd.Function):
    """Round to a fixed grid; the gradient passes where the value lies strictly inside the range."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float, zero_point: int, limits: Limits = INT8_LIMITS) -> Tensor:
        """Round float x, any shape."""
        ctx.save_for_backward(x)
        ctx.ends = ((limits[0] - zero_point) * scale, (limits[1] - zero_point) * scale)
        return round_to_grid(x, scale, zero_point, limits)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """Mask the gradient."""
        (x,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(gradient, x, *ctx.ends), None, None, None


class LearnedFakeQuantize(torch.autograd.Function):
    """Round to an int8 grid whose real range [low, high] is learned.

    With s = (high - low) / 255 and the zero point treated as continuous, d y / d high is 1 above the range, 0 below
    it and (y - x) / (s * 255) inside; d y / d low is the mirror image (TQT, arXiv 1903.08066, eq. 8, and LSQ,
    arXiv 1902.08153, eq. 3, for an asymmetric range). Both are divided by the square root of the number of values, as
    LSQ's section 2.2 does. Under torch.distributed they are the mean over the ranks, wrapped or not.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: Tensor, high: Tensor, scale: float, zero_point: int) -> Tensor:
        """Round float x, any shape; low and high are 0-d and stand behind scale and zero_point."""
        y = round_to_grid(x, scale, zero_point)
        ctx.save_for_backward(x, y)
        lowest, highest = INT8_LIMITS
        ctx.ends = ((lowest - zero_point) * scale, (highest - zero_point) * scale)
        ctx.scale = scale
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        """Gradients of x, low and high."""
        x, y = ctx.saved_tensors
        low_end, high_end = ctx.ends
        inside = torch.ops.aten.hardtanh_backward(gradient, x, low_end, high_end)
        needs_low, needs_high = ctx.needs_input_grad[1:3]
        low_gradient = high_gradient = None
        if needs_low or needs_high:
            rounding = torch.sub(y, x).mul_(inside).sum() / (ctx.scale * (INT8_LIMITS[1] - INT8_LIMITS[0]))
            share = x.numel() ** -0.5
            if needs_high:
                high_gradient = (torch.mul(gradient, x >= high_end).sum() + rounding) * share
            if needs_low:
                low_gradient = (torch.mul(gradient, x <= low_end).sum() - rounding) * share
            low_gradient, high_gradient = mean_over_ranks(low_gradient, high_gradient)
        return inside, low_gradient, high_gradient, None, None


class RoundThrough(torch.autograd.Function):
    """Round half to even; the gradient is that of the identity."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        """Round float x."""
        return torch.round(x)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        """Pass the gradient."""
        return gradient


def weight_scales(
    weight: Tensor, bias: Tensor | None, input_scale: float | None, granularity: Granularity = "per_channel"
) -> Tensor:
    """`edge.artifact.scheme.weight_scales` in torch, bit for bit: float32 (O,), no gradient."""
    with torch.no_grad():
        largest = weight.reshape(weight.shape[0], -1).abs().amax(dim=1)
        scale = largest.clamp(min=SMALLEST_WEIGHT) / float(WEIGHT_MAX)
        if bias is not None and input_scale is not None:
            limit = torch.tensor(input_scale, dtype=torch.float32, device=weight.device) * float(BIAS_LIMIT)
            scale = torch.maximum(scale, bias.abs() / limit)
        if granularity == "per_tensor":
            scale = torch.full_like(scale, float(scale.max()))
    return scale


def fake_quantize_weight(weight: Tensor, scale: Tensor) -> Tensor:
    """Weights on their int8 grid, float32, same shape: rint(f32(w / scale)) * scale; straight-through gradient."""
    column = scale.reshape(-1, *(1,) * (weight.dim() - 1))
    integers = RoundThrough.apply(weight / column)  # type: ignore[no-untyped-call]  # torch's stub
    return integers.clamp(-WEIGHT_MAX, WEIGHT_MAX) * column  # type: ignore[no-any-return]  # as above


def fake_quantize_bias(bias: Tensor, input_scale: float, scale: Tensor) -> Tensor:
    """Bias on its int32 grid, float32 (O,): rounded in float64 as `quantize_bias` does; straight-through gradient."""
    with torch.no_grad():
        grid = scale.double() * input_scale
        rounded = (torch.round(bias.double() / grid) * grid).to(bias.dtype)
    return bias + (rounded - bias).detach()
