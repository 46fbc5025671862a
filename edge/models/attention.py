"""The attention modules that a network can be built with, and where each stands: as its paper chooses.

Two gate a map; involution stands in the place of a block's spatial convolution. Its paper calls self-attention one of
its forms (section 3.3 of arXiv 2103.06255).
"""

from typing import Literal

from torch import nn

from edge.errors import UsageError, unknown_name
from edge.models.cbam import ConvolutionalBlockAttention
from edge.models.gct import GatedChannelTransformation
from edge.models.involution import NormalizedInvolution

Attention = Literal["none", "gct", "cbam", "involution"]
BEFORE: dict[str, type[nn.Module]] = {"gct": GatedChannelTransformation}
"""Modules that gate what a convolution reads; one GCT per block: the last 1x1 (its authors' README, z-x-yang/GCT)."""
AFTER: dict[str, type[nn.Module]] = {"cbam": ConvolutionalBlockAttention}
"""Modules that gate what a block's convolutions made, before it is added to the block's input (CBAM, figure 3)."""
INSTEAD: dict[str, type[NormalizedInvolution]] = {"involution": NormalizedInvolution}
"""Modules that filter positions in the place of a depthwise convolution and of the batch norm behind it.

Their kernels are bounded by ReLU6."""
ATTENTION = ("none", *BEFORE, *AFTER, *INSTEAD)
MODULES = (GatedChannelTransformation, ConvolutionalBlockAttention, NormalizedInvolution)


def before(attention: Attention, channels: int) -> nn.Module | None:
    """The module in front of a convolution that reads this many channels, or None."""
    return BEFORE[attention](channels) if attention in BEFORE else None


def after(attention: Attention, channels: int) -> nn.Module | None:
    """The module behind a convolution that gives this many channels, or None."""
    return AFTER[attention](channels) if attention in AFTER else None


def instead(attention: Attention, channels: int, kernel_size: int, *, stride: int, dilation: int) -> nn.Module | None:
    """The module in the place of a depthwise convolution of this form and its batch norm, or None."""
    if attention not in INSTEAD:
        return None
    return INSTEAD[attention](channels, kernel_size, stride=stride, dilation=dilation, activation=nn.ReLU6)


def attention_paths(model: nn.Module) -> tuple[str, ...]:
    """Where the modules of a network stand, by their paths in it."""
    return tuple(path for path, module in model.named_modules() if isinstance(module, MODULES))


def require_attention(attention: str) -> None:
    """Refuse (UsageError) an unknown name, with the nearest one."""
    if attention not in ATTENTION:
        raise UsageError(unknown_name("attention", str(attention), ATTENTION))
