"""Frames that show their own number, in blocks of black and white that survive JPEG and video codecs."""

import numpy as np

from edge.vision.frame import Pixels

BITS = 16
BLOCK = 16
ROWS = 4  # of blocks; each row has BITS // ROWS of them


def numbered(number: int, size_hw: tuple[int, int] = (BLOCK * ROWS, BLOCK * BITS // ROWS)) -> Pixels:
    """BGR uint8 (h, w, 3), mid-grey outside of the blocks in its upper left corner."""
    image = np.full((*size_hw, 3), 128, np.uint8)
    bits = np.array([number >> bit & 1 for bit in range(BITS)], np.uint8).reshape(ROWS, -1)
    blocks = np.kron(bits * 255, np.ones((BLOCK, BLOCK), np.uint8))
    image[: blocks.shape[0], : blocks.shape[1]] = blocks[:, :, None]
    return image


def number_of(image: Pixels) -> int:
    """The number that a frame shows. Refuses (AssertionError) one that shows none: black, grey, or half of one."""
    blocks = image[: BLOCK * ROWS, : BLOCK * BITS // ROWS].mean(axis=2)
    means = blocks.reshape(ROWS, BLOCK, -1, BLOCK).mean(axis=(1, 3)).reshape(-1)
    assert ((means < 64) | (means > 192)).all(), f"no number in {means.round()}"
    return int(sum(1 << bit for bit, mean in enumerate(means) if mean > 128))
