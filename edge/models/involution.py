"""Involution: a kernel of its own for every position, shared by groups of channels (Li et al., arXiv 2103.06255).

Published at CVPR 2021; section 3, equations 3 to 6, and the authors' code (d-li14/involution). For a map x of C
channels in G groups, at position (i, j) with the K x K positions around it:

    kernel(i, j) = expand(relu(norm(reduce(x(i, j)))))         K K G values: two 1x1 convolutions, C / 4 between
    y_c(i, j)    = sum over u, v of kernel_g,u,v(i, j) x_c(i + u, j + v)      g the group of channel c

A convolution's kernel is one for all positions and new for every channel; this one is the other way round. With a
stride the kernel is made of the mean of the stride x stride positions that are left out.

The sum is computed as one product over all K K shifted maps and one sum over the shifts. Integers then round each
product and the sum once; K K products added one after another would round every addition (16 dB of signal to noise
where this has 23, K = 7). Channels of the kernel are ordered by row, column, then group, so that shifted maps are
joined as they are; the authors' order is group, row, column.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

GROUP_CHANNELS = 16
REDUCTION = 4
START_DIFFERENCE = 0.1
"""Of He's weights of `expand`: how far kernels differ between positions where training begins, see `start_kernels`."""


class WeightedSum(nn.Module):
    """The sum of K x K shifted maps, each times its kernel's value at the position; layer without parameters.

    Args:
        kernel_size: K, odd; the padding of zeros is (K - 1) / 2 on each side, times the dilation.
        groups: kernels per position; they divide the channels.
    """

    def __init__(self, kernel_size: int, *, stride: int, dilation: int, groups: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride
        self.dilation = dilation
        self.groups = groups

    def forward(self, x: Tensor, kernel: Tensor) -> Tensor:
        """Map float (n, C, h, w) and (n, K K G, h', w') to (n, C, h', w'), h' = ceil(h / stride)."""
        height, width = kernel.shape[2], kernel.shape[3]
        edge = self.dilation * (self.kernel_size - 1) // 2
        x = functional.pad(x, (edge, edge, edge, edge))
        starts = [self.dilation * index for index in range(self.kernel_size)]
        columns, rows = (self.stride * (size - 1) + 1 for size in (width, height))
        x = torch.cat([x[:, :, :, start : start + columns : self.stride] for start in starts], dim=1)
        x = torch.cat([x[:, :, start : start + rows : self.stride] for start in starts], dim=1)  # (n, K K C, h', w')
        count = self.kernel_size**2
        values = x.reshape(x.shape[0], count, self.groups, -1, height * width)
        weights = kernel.reshape(x.shape[0], count, self.groups, 1, height * width)
        summed = (values * weights).sum(1)  # (n, G, C / G, h' w')
        return summed.reshape(x.shape[0], -1, height, width)


class Involution(nn.Module):
    """Involution of a number of channels, without bias or rectifier behind it.

    Groups have 16 channels, or as many as 16 and the channels have as greatest common divisor.

    Args:
        activation: of the hidden units that the kernel is made of; the paper's is ReLU. One with a limit bounds the
            kernel. Without, the layer is a product of two maps that both grow with the input: several of them in a
            row take an image that is twice as strong as those of the training set beyond every range.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        activation: type[nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        hidden = max(1, channels // REDUCTION)
        groups = channels // math.gcd(channels, GROUP_CHANNELS)
        self.pool = nn.AvgPool2d(stride, stride, ceil_mode=True) if stride > 1 else None
        self.reduce = nn.Conv2d(channels, hidden, 1, bias=False)
        self.norm = nn.BatchNorm2d(hidden)
        self.activation = activation()
        self.expand = nn.Conv2d(hidden, kernel_size**2 * groups, 1)
        self.sum = WeightedSum(kernel_size, stride=stride, dilation=dilation, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (n, C, h, w) to (n, C, ceil(h / stride), ceil(w / stride))."""
        return self.sum(x, self.kernels(x))  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped

    def kernels(self, x: Tensor) -> Tensor:
        """The kernels of every position of the output: (n, K K G, h', w')."""
        averaged = x if self.pool is None else self.pool(x)
        return self.expand(self.activation(self.norm(self.reduce(averaged))))  # type: ignore[no-any-return]  # as above


def start_kernels(network: nn.Module) -> None:
    """Let kernels begin nearly the same at all positions: those of a convolution, in the bias that makes them.

    With biases of zero, as in the authors' code, a layer begins as a product of two random maps. Measured on a small
    set in docs/involution.md.

    Args:
        network: whose weights are drawn; those of `Involution.expand` are multiplied by START_DIFFERENCE.
    """
    for layer in network.modules():
        if isinstance(layer, Involution):
            assert layer.expand.bias is not None  # made with one
            nn.init.normal_(layer.expand.bias, std=math.sqrt(2.0 / layer.sum.kernel_size**2))  # He's, by fan-in
            with torch.no_grad():
                layer.expand.weight.mul_(START_DIFFERENCE)


class NormalizedInvolution(nn.Module):
    """An involution and batch norm, as it stands in a block in the place of a spatial convolution.

    The batch norm cannot fold into a kernel that is made new at every position: a device runs it as a 1x1 depthwise
    convolution.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        activation: type[nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.involution = Involution(channels, kernel_size, stride=stride, dilation=dilation, activation=activation)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (n, C, h, w) to (n, C, ceil(h / stride), ceil(w / stride))."""
        return self.norm(self.involution(x))  # type: ignore[no-any-return]  # as above
