"""Where the positions of DeepLab's logits lie in the image, and where half-pixel centres put them (docs/deeplab.md)."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edge.models.blocks import SamePadConv2d
from edge.models.deeplab import deeplab_mobilenet_v2


def centres(side: int, output_stride: int) -> NDArray[np.float64]:
    """The pixel under the middle of every 3x3 window, position by position, from the input to the logits: float (n,).

    A ramp goes through convolutions of the network's strides, dilations and padding that keep the middle tap alone.
    """
    model = deeplab_mobilenet_v2(classes=1, width=0.1, resolution_hw=(side, side), output_stride=output_stride)
    ramp = torch.arange(float(side)).view(1, 1, side, 1).expand(1, 1, side, side)
    for layer in model.modules():
        if isinstance(layer, SamePadConv2d) and layer.kernel_size == (3, 3):
            middle = SamePadConv2d(1, 1, 3, stride=layer.stride[0], dilation=layer.dilation[0], bias=False)
            with torch.no_grad():
                middle.weight.copy_(torch.eye(9)[4].view(1, 1, 3, 3))
                ramp = middle(ramp)
    return np.asarray(ramp[0, 0, :, 0], np.float64)


def half_pixel(side: int, positions: int) -> NDArray[np.float64]:
    """The pixels on which a resize by half-pixel centres puts the positions."""
    return (np.arange(positions) + 0.5) * side / positions - 0.5


@pytest.mark.parametrize(("output_stride", "apart"), [(16, 7.5), (8, 3.5)])
def test_of_a_multiple_every_position_is_equally_far_from_where_it_is_enlarged_to(
    output_stride: int, apart: float
) -> None:
    """A constant shift, which training learns."""
    found = centres(192, output_stride)
    np.testing.assert_allclose(found - half_pixel(192, len(found)), apart)


def test_of_the_published_sizes_the_corners_lie_on_corners_and_half_pixel_centres_drift() -> None:
    """Of a side of 16 k + 1 the first and last position lie on the first and last pixel, as align_corners has it."""
    found = centres(193, 16)
    np.testing.assert_allclose(found, np.linspace(0, 192, 13))
    np.testing.assert_allclose((half_pixel(193, 13) - found)[[0, 6, 12]], (6.923, 0, -6.923), atol=1e-3)
