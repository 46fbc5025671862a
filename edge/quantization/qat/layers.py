"""A convolution or linear layer with the batch norm behind it, as quantization-aware training runs it."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.models.blocks import SamePadConv2d
from edge.models.computed_convolution import ComputedConvolution
from edge.quantization.qat.fake_quant import fake_quantize_bias, fake_quantize_weight, weight_scales

Norm = nn.BatchNorm1d | nn.BatchNorm2d


class FoldedLayer(nn.Module):
    """One Conv2d or Linear and its batch norm, if any; both keep their own types, so optimizers can tell them apart.

    Attributes:
        layer: nn.Conv2d, SamePadConv2d, nn.Linear, or a ComputedConvolution, which has no norm.
        norm: nn.BatchNorm2d or nn.BatchNorm1d, or None.
    """

    def __init__(self, layer: nn.Conv2d | nn.Linear, norm: Norm | None) -> None:
        super().__init__()
        self.layer = layer
        self.norm = norm

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight (O, ...) and bias (O,) with the batch norm's running statistics folded in, float32, with gradients.

        factor = gamma / sqrt(variance + eps); weight * factor; (bias - mean) * factor + beta.
        """
        if isinstance(self.layer, ComputedConvolution):
            return self.layer.computed()
        weight = self.layer.weight
        bias = self.layer.bias if self.layer.bias is not None else weight.new_zeros(weight.shape[0])
        if self.norm is None:
            return weight, bias
        norm = self.norm
        assert norm.running_mean is not None and norm.running_var is not None  # refused at capture
        factor = torch.rsqrt(norm.running_var + norm.eps)
        if norm.affine:
            factor = factor * norm.weight
        bias = (bias - norm.running_mean) * factor
        if norm.affine:
            bias = bias + norm.bias
        return weight * factor.reshape(-1, *(1,) * (weight.dim() - 1)), bias

    @torch.no_grad()
    def set_folded(self, weight: Tensor, bias: Tensor) -> None:
        """Change the layer and its norm so that `folded` gives these (up to float32 rounding); statistics stay.

        Without a norm and a bias of its own the layer stays without a bias.
        """
        norm = self.norm
        if isinstance(self.layer, ComputedConvolution):
            self.layer.set_computed(weight, bias)
            return
        if norm is None:
            self.layer.weight.copy_(weight)
            if self.layer.bias is not None:
                self.layer.bias.copy_(bias)
            return
        assert norm.running_mean is not None and norm.running_var is not None  # refused at capture
        factor = torch.rsqrt(norm.running_var + norm.eps)
        factor = factor * norm.weight if norm.affine else factor
        column = factor.reshape(-1, *(1,) * (weight.dim() - 1))
        self.layer.weight.copy_(torch.where(column == 0, self.layer.weight, weight / column))
        shift = bias - self.folded()[1]
        if norm.affine:
            norm.bias.add_(shift)
        else:
            norm.running_mean.sub_(shift / factor)

    def forward(self, x: Tensor, input_scale: float | None, *, live_norm: bool) -> Tensor:
        """Run the layer.

        Args:
            x: float (n, I, h, w) or (n, I).
            input_scale: scale of x's grid, which makes weights and bias fake-quantized; None runs in float.
            live_norm: normalize by the batch's statistics and update the running ones. The weight is then rounded
                before the norm: the factor of a channel scales its weights and its weight scale alike, so these are
                the integers that the folded weight has (up to the rounding of the factor).
        """
        if live_norm and self.norm is not None:
            weight = self.layer.weight
            if input_scale is not None:
                weight = fake_quantize_weight(weight, weight_scales(weight, None, None))
            y = self.compute(x, weight, self.layer.bias)
            if isinstance(self.norm, nn.BatchNorm1d) and y.dim() == 4:  # (n, c) or (n, c, length) as an image
                return self.norm(y.flatten(2)).reshape(y.shape)  # type: ignore[no-any-return]  # untyped call
            return self.norm(y)  # type: ignore[no-any-return]  # untyped call
        weight, bias = self.folded()
        if input_scale is not None:
            scale = weight_scales(weight, bias, input_scale)
            weight = fake_quantize_weight(weight, scale)
            bias = fake_quantize_bias(bias, input_scale, scale)
        return self.compute(x, weight, bias)

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The layer's output with these weights in place of its own."""
        layer = self.layer
        if isinstance(layer, nn.Linear):
            return functional.linear(x, weight, bias)
        top, left, bottom, right = conv_pads(layer, (x.shape[2], x.shape[3]))
        padding = (top, left)
        if (top, left) != (bottom, right):
            x = functional.pad(x, (left, right, top, bottom))
            padding = (0, 0)
        return functional.conv2d(x, weight, bias, layer.stride, padding, layer.dilation, layer.groups)


def conv_pads(conv: nn.Conv2d, size_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    """Zero padding (top, left, bottom, right) of a convolution for an input of this size."""
    if isinstance(conv, SamePadConv2d):
        return conv.pads(size_hw)
    if conv.padding == "valid":
        return 0, 0, 0, 0
    if conv.padding == "same":  # stride 1 only, the odd pixel after, as torch does
        totals = [dilation * (kernel - 1) for dilation, kernel in zip(conv.dilation, conv.kernel_size, strict=True)]
        return totals[0] // 2, totals[1] // 2, totals[0] - totals[0] // 2, totals[1] - totals[1] // 2
    height, width = int(conv.padding[0]), int(conv.padding[1])
    return height, width, height, width
