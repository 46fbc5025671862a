"""Convolutional Block Attention Module: a gate per channel, then per position (Woo et al., arXiv 1807.06521).

Published at ECCV 2018:

    x' = x sigmoid(MLP(average over h, w) + MLP(maximum over h, w))              section 3, equation 2
    x'' = x' sigmoid(norm(7x7 convolution of [maximum, average over channels]))  section 3, equation 3

The MLP is shared: C / 16 hidden units (at least one), a rectifier between its layers. Its second layer is linear and
is run once, over the sum of both hidden vectors; its bias is therefore twice that of the authors' code, where it is
added twice. Normalization and its momentum of 0.01 are of the authors' code.
"""

import torch
from torch import Tensor, nn

REDUCTION = 16
KERNEL_SIZE = 7
NORM_MOMENTUM = 0.01


class ConvolutionalBlockAttention(nn.Module):
    """CBAM for maps of a number of channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // REDUCTION)
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.activation = nn.ReLU()
        self.expand = nn.Conv2d(hidden, channels, 1)
        self.spatial = nn.Conv2d(2, 1, KERNEL_SIZE, padding=KERNEL_SIZE // 2, bias=False)
        self.norm = nn.BatchNorm2d(1, momentum=NORM_MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        """Gate float (n, C, h, w), same shape."""
        average = self.activation(self.reduce(x.mean((2, 3), keepdim=True)))  # (n, C / 16, 1, 1)
        largest = self.activation(self.reduce(x.amax((2, 3), keepdim=True)))
        x = x * torch.sigmoid(self.expand(average + largest))
        maps = torch.cat((x.amax(1, keepdim=True), x.mean(1, keepdim=True)), dim=1)  # (n, 2, h, w)
        return x * torch.sigmoid(self.norm(self.spatial(maps)))
