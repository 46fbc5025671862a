"""A network that only answers, such as a teacher: its batch norms folded into the convolutions before them."""

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from edge.models.blocks import ConvNorm


@torch.no_grad()
def fold_norms(model: nn.Module) -> None:
    """Fold the running statistics of every `ConvNorm` into its convolution, in place.

    In evaluation mode the network computes what it did, up to float rounding, in one pass over each map less; its state
    has other names.
    """
    for block in model.modules():
        if isinstance(block, ConvNorm) and isinstance(block.norm, nn.BatchNorm2d):
            conv, norm = block.conv, block.norm
            assert norm.running_mean is not None and norm.running_var is not None  # a ConvNorm keeps both
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
            )
            block.norm = nn.Identity()  # type: ignore[assignment]  # no norm is left
