"""Average pool and bilinear resize as their integer kernels round them, for the forward of quantization-aware training.

Both take values that lie on the grid and give values on the same grid; the gradient is that of the float operator.
(Formulas: docs/fidelity.md; `edge.execution.kernels` has them on integers.)
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from edge.execution.kernels.resize import bilinear_axis
from edge.vision.bilinear import WEIGHT_BITS

TIE = 2.0**-11
"""Float sums of grid values are off by less than this many quanta; ties are a multiple of 2**-10 away from others."""


class Substitute(torch.autograd.Function):
    """The second argument's values with the first one's gradient."""

    @staticmethod
    def forward(ctx: Any, real: Tensor, rounded: Tensor) -> Tensor:
        """Give `rounded`."""
        return rounded

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Pass the gradient to `real`."""
        return gradient, None


def average_pool(
    x: Tensor,
    kernel_hw: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[int, int, int, int],
    parameters: tuple[float, int] | None,
) -> Tensor:
    """Mean over windows, padding not counted; with parameters rounded half away from raw zero.

    Args:
        x: float (n, c, h, w); on the grid of `parameters` if given.
        parameters: scale and zero point, or None for the plain float mean.
    """
    top, left, bottom, right = pads
    if (top, left) == (bottom, right):
        real = functional.avg_pool2d(x, kernel_hw, strides, (top, left), count_include_pad=False)
        count: Tensor | float = float(kernel_hw[0] * kernel_hw[1])
    if any(pads):
        ones = functional.pad(x.new_ones(1, 1, x.shape[2], x.shape[3]), (left, right, top, bottom))
        count = functional.avg_pool2d(ones, kernel_hw, strides, divisor_override=1)
        if (top, left) != (bottom, right):
            padded = functional.pad(x, (left, right, top, bottom))
            real = functional.avg_pool2d(padded, kernel_hw, strides, divisor_override=1) / count
    if parameters is None:
        return real
    scale, zero_point = parameters
    with torch.no_grad():
        total = torch.mul(real, 1.0 / scale).mul_(count).round_()  # exact integer sums
        mean = total.div_(count).add_(zero_point)
        rounded = mean.sign() * torch.floor(mean.abs_().add_(0.5 + TIE / 4))
        rounded = rounded.sub_(zero_point).mul_(scale)
    return Substitute.apply(real, rounded)  # type: ignore[no-any-return,no-untyped-call]  # torch's stub


def resize(x: Tensor, size_hw: tuple[int, int], coordinates: str, parameters: tuple[float, int] | None) -> Tensor:
    """Bilinear resize; with parameters weights are Q11 and the result is rounded half up.

    Args:
        x: float (n, c, h, w); on the grid of `parameters` if given.
        coordinates: half_pixel or align_corners.
    """
    real = functional.interpolate(x, size=size_hw, mode="bilinear", align_corners=coordinates == "align_corners")
    if parameters is None:
        return real
    scale, _ = parameters
    with torch.no_grad():
        values = _resize_q11(x, size_hw, coordinates)
        rounded = torch.mul(real if values is None else values, 1.0 / scale).add_(0.5 + TIE / 4).floor_().mul_(scale)
    return Substitute.apply(real, rounded)  # type: ignore[no-any-return,no-untyped-call]  # torch's stub


def _resize_q11(x: Tensor, size_hw: tuple[int, int], coordinates: str) -> Tensor | None:
    """Bilinear resize by Q11 weights; None where these are the exact weights, so that the float resize has them."""
    axes = [bilinear_axis(x.shape[axis], size_hw[axis - 2], coordinates) for axis in (2, 3)]
    coarse = [bool((weight % 16 == 0).all()) for _, _, weight in axes]
    if all(coarse):  # multiples of 1 / 128: a ratio of a power of two, or a single row
        return None
    (upper, lower, weight_y), (left, right, weight_x) = axes
    share_x = weight_x.to(x) / 2**WEIGHT_BITS
    share_y = (weight_y.to(x) / 2**WEIGHT_BITS).reshape(-1, 1)
    row = torch.lerp(x.index_select(3, left), x.index_select(3, right), share_x)
    return torch.lerp(row.index_select(2, upper), row.index_select(2, lower), share_y)
