"""Scales of int8 products that no kernel rounds otherwise than another.

XNNPACK multiplies two int8 tensors with one rounding, and not the same one everywhere: on x86-64 the product times the
ratio of scales is rounded to float32 and then to the nearest even integer (qs8-vmul, fp32); on ARM the exact product is
rounded half up (qs8-vmul, rndnu). They part where a product lands on a half, or so near it that float32 makes it one.
The operands are 256 integers each, so whether that can happen is known beforehand, and some units in the last place of
the output's scale away it cannot.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

Parameters = tuple[float, int]
"""Scale (a float32 value) and zero point of an int8 tensor."""
MOST_STEPS = 1000
"""Units in the last place that are tried: together a thirtieth of a quantum over the whole range."""


def round_alike(inputs: Sequence[Parameters], output: Parameters) -> bool:
    """Whether every product of two int8 operands (one: of a tensor with itself) is one integer on x86-64 and on ARM."""
    (first, first_zero), (second, second_zero) = inputs[0], inputs[-1]
    factor = np.float32(np.float32(first) * np.float32(second)) / np.float32(output[0])
    integers = np.arange(-128, 128)
    products = np.multiply.outer(integers - first_zero, integers - second_zero).reshape(-1)
    low, high = (limit - output[1] for limit in (-128, 127))
    even = np.rint(products.astype(np.float32) * np.float32(factor))
    up = np.floor(products * float(factor) + 0.5)  # exact in double: 17 bits by 24
    return bool((even.clip(low, high) == up.clip(low, high)).all())


@lru_cache(maxsize=1024)
def least_alike(inputs: tuple[Parameters, ...], output: Parameters) -> float:
    """The smallest output scale from the given one on whose products round alike; the given one where none is near."""
    scale = np.float32(output[0])
    for _ in range(MOST_STEPS):
        if round_alike(inputs, (float(scale), output[1])):
            return float(scale)
        scale = np.nextafter(scale, np.float32(np.inf))
    return output[0]
