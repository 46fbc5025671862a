"""Gated Channel Transformation: channels that compete or cooperate (Yang et al., CVPR 2020, arXiv 1909.11519).

Three numbers per channel, beside a convolution whose cost they do not change. For a map x of C channels (section 3):

    s_c = alpha_c sqrt(sum over h, w of x_c^2 + eps)          global context embedding
    n_c = sqrt(C) s_c / sqrt(sum over channels of s^2 + eps)  channel normalization
    y_c = x_c (1 + tanh(gamma_c n_c + beta_c))                gating adaptation

gamma and beta are 0 at the start, so that the module starts as the identity. Where gamma is positive a channel
competes with the others (it grows where it is stronger than they are), where negative they cooperate.

Forms of the same functions are chosen that cost integers least. 1 + tanh(z) = 2 sigmoid(2 z). alpha enters before the
root, as its square: its sign then has no effect, but alpha and gamma with both signs turned are the same function, so
that every function of the paper is one with alpha positive. The mean of x^2 stands for the sum, whose factor h w
cancels in n (LiteRT's built-in kernels have no right integer sum); eps is then the paper's 1e-5 over 32x32 positions.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.models.computed_convolution import ComputedConvolution

EPS = 1e-8
SMALLEST_SQUARE = 1e-12
"""Added to alpha squared, so that the root has a gradient at alpha 0."""


class Embedding(ComputedConvolution):
    """alpha^2 (x + eps) per channel; its weight (C, 1, 1, 1) is alpha."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 1, groups=channels, bias=False)

    def reset_parameters(self) -> None:
        """Set alpha to 1."""
        nn.init.ones_(self.weight)

    def computed(self) -> tuple[Tensor, Tensor]:
        """alpha squared, and that times eps."""
        square = self.weight.square() + SMALLEST_SQUARE
        return square, square.flatten() * EPS

    @torch.no_grad()
    def set_computed(self, weight: Tensor, bias: Tensor) -> None:
        """Set alpha by its square; the bias follows."""
        self.weight.copy_(weight.clamp(min=0.0).sqrt())


class Gate(ComputedConvolution):
    """2 (gamma sqrt(C) x + beta) per channel; its weight (C, 1, 1, 1) is gamma and its bias (C,) beta."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 1, groups=channels)
        self.gain = 2.0 * math.sqrt(channels)

    def reset_parameters(self) -> None:
        """Set gamma and beta to 0."""
        nn.init.zeros_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def computed(self) -> tuple[Tensor, Tensor]:
        """gamma times 2 sqrt(C), and beta times 2."""
        assert self.bias is not None
        return self.weight * self.gain, self.bias * 2.0

    @torch.no_grad()
    def set_computed(self, weight: Tensor, bias: Tensor) -> None:
        """Set gamma and beta."""
        assert self.bias is not None
        self.weight.copy_(weight / self.gain)
        self.bias.copy_(bias / 2.0)


class GatedChannelTransformation(nn.Module):
    """GCT with the paper's L2 norms, for maps of a number of channels; it starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.embedding = Embedding(channels)
        self.positive = nn.ReLU()  # changes nothing; says to whoever quantizes that a root can be taken
        self.gate = Gate(channels)

    @property
    def alpha(self) -> Tensor:
        """The weights of the embedding, (C,)."""
        return self.embedding.weight.flatten()

    @property
    def gamma(self) -> Tensor:
        """The weights of the gate, (C,): positive where a channel competes, negative where it cooperates."""
        return self.gate.weight.flatten()

    def forward(self, x: Tensor) -> Tensor:
        """Gate float (n, C, h, w), same shape."""
        power = (x * x).mean((2, 3), keepdim=True)  # (n, C, 1, 1)
        embedding = torch.sqrt(self.positive(self.embedding(power)))
        half = torch.sigmoid(self.gate(functional.normalize(embedding, dim=1)))
        return x * (half + half)
