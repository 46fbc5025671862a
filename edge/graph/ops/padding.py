"""TensorFlow's SAME and VALID padding as numbers: what a TFLite file leaves unsaid and an ONNX file spells out."""

from collections.abc import Sequence

PadsHw = tuple[int, int, int, int]
PairHw = tuple[int, int]


def same_pads(
    size_hw: Sequence[int], kernel_hw: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> PadsHw:
    """Padding (top, left, bottom, right) in pixels by the SAME rule; the odd pixel goes to the bottom and right.

    The output has ceil(size / stride) positions. (TensorFlow, "Notes on padding".)
    """
    top, bottom = _same(size_hw[0], kernel_hw[0], strides[0], dilations[0])
    left, right = _same(size_hw[1], kernel_hw[1], strides[1], dilations[1])
    return top, left, bottom, right


def window_output_hw(
    size_hw: Sequence[int], kernel_hw: Sequence[int], strides: Sequence[int], dilations: Sequence[int], pads: PadsHw
) -> PairHw:
    """Positions (h, w) of a sliding window over an input with the given pads, rounding down."""
    sizes = (size_hw[0] + pads[0] + pads[2], size_hw[1] + pads[1] + pads[3])
    height, width = (
        (size - (kernel - 1) * dilation - 1) // stride + 1
        for size, kernel, stride, dilation in zip(sizes, kernel_hw, strides, dilations, strict=True)
    )
    return height, width


def _same(size: int, kernel: int, stride: int, dilation: int) -> PairHw:
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def transposed_full_size(
    size_hw: Sequence[int], kernel_hw: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> PairHw:
    """What the windows of a transposed convolution cover: stride * (size - 1) + dilation * (kernel - 1) + 1."""
    height, width = (
        stride * (size - 1) + dilation * (kernel - 1) + 1
        for size, kernel, stride, dilation in zip(size_hw, kernel_hw, strides, dilations, strict=True)
    )
    return height, width


def transposed_same_pads(
    size_hw: Sequence[int], output_hw: Sequence[int], kernel_hw: Sequence[int], strides: Sequence[int]
) -> PairHw | None:
    """What the SAME rule cuts off the top and left of a transposed convolution; None where the sizes are not SAME's."""
    found = []
    for size, output, kernel, stride in zip(size_hw, output_hw, kernel_hw, strides, strict=True):
        if -(-output // stride) != size or stride * (size - 1) + kernel < output:
            return None
        found.append((stride * (size - 1) + kernel - output) // 2)
    return found[0], found[1]
