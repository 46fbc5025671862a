"""A convolution whose weight and bias are computed from its parameters, such as a square or a product with a constant.

A paper's parameter keeps its own size and gradient, while a device gets one plain convolution with the numbers.
"""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch.nn import functional


class ComputedConvolution(nn.Conv2d, ABC):
    """A convolution without padding that runs with `computed()` in place of its weight and bias.

    Tracers treat a subclass as a leaf; quantization-aware training trains its parameters and rounds what they give.
    """

    @abstractmethod
    def computed(self) -> tuple[Tensor, Tensor]:
        """The weight (O, I / groups, kh, kw) and bias (O,) that are run, with gradients to the parameters."""

    @abstractmethod
    def set_computed(self, weight: Tensor, bias: Tensor) -> None:
        """Change the parameters, in place, so that `computed` gives these, as far as it can."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve float (n, I, h, w) to (n, O, h', w')."""
        weight, bias = self.computed()
        return functional.conv2d(input, weight, bias, self.stride, 0, self.dilation, self.groups)
