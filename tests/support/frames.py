"""Frames of random bytes in every pixel format."""

import numpy as np

from edge.vision.frame import CHANNELS, PLANAR, Frame, PixelFormat


def made_frame(layout: PixelFormat, size_hw: tuple[int, int], *, seed: int = 0) -> Frame:
    """A frame of random bytes; height and width even where the format asks for it."""
    height, width = size_hw
    channels = CHANNELS.get(layout)
    shape: tuple[int, ...] = (height, width) if channels is None else (height, width, channels)
    if layout in PLANAR:
        shape = (height * 3 // 2, width)
    return Frame(image=np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8), format=layout)
