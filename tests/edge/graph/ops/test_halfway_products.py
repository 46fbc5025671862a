"""Products that land on a half are rounded one way on x86-64 and another on ARM; scales near by have none."""

from dataclasses import replace

import numpy as np
import pytest

from edge.artifact.scheme import INT8_SCHEME
from edge.graph.graph import Quantization
from edge.graph.ops.halfway_products import MOST_STEPS, least_alike, round_alike
from edge.graph.ops.kernel_limits import operator_floor
from edge.quantization.ptq.within_limits import within_limits
from edge.quantization.ties import range_groups
from tests.support.one_operator import Parameters, activation, graph_of

HALVES = ((0.5, 0), (0.5, 0)), (0.5, 0)  # the odd products, 1 to 127 * 127, are halves of the output


def test_the_smallest_half_is_rounded_two_ways() -> None:
    """1 * 1 * 0.5 is 0 to the nearest even and 1 half up."""
    assert not round_alike(*HALVES)
    assert round_alike(((0.5, 0), (0.5, 0)), (0.25, 0))  # whole numbers


def test_a_half_that_float32_makes_counts_too() -> None:
    """19 / 12.667: below 1.5, and 1.5 in float32, which is rounded to 2."""
    factor = np.float32(1.5 / 19)
    assert 19 * float(factor) < 1.5 and np.float32(19) * factor == 1.5
    assert not round_alike(((float(factor), 0), (1.0, 0)), (1.0, 0))


@pytest.mark.parametrize("zero_points", [(0, 0, 0), (-128, 3, -128), (127, -7, 20)])
def test_the_least_scale_is_near_and_rounds_alike(zero_points: tuple[int, int, int]) -> None:
    first, second, third = zero_points
    inputs, output = ((0.5, first), (0.25, second)), (0.25, third)
    scale = least_alike(inputs, output)
    assert output[0] <= scale <= output[0] * (1 + 2 * MOST_STEPS * 2.0**-24)
    assert round_alike(inputs, (scale, third))
    assert least_alike(inputs, (scale, third)) == scale


def test_a_product_that_is_quantized_rounds_alike() -> None:
    box = (1, 4, 4, 8)
    whole = Parameters(scale=0.5, zero_point=0)
    inputs = tuple(activation(name, box, whole) for name in "ab")
    integer = graph_of("Mul", inputs, activation("y", box, whole), {"activation": "none"})
    real = integer.with_tensors(
        [replace(tensor, dtype="float32", quantization=None) for tensor in integer.tensors.values()]
    )
    made = within_limits(real, range_groups(real, INT8_SCHEME), dict.fromkeys("aby", (np.float32(0.5), 0)))
    output = made.tensors["y"].quantization
    assert isinstance(output, Quantization) and operator_floor(made.operators[0], made.tensors) == output.scale[0]
    assert 0.5 < output.scale[0] < 0.5001 and round_alike(HALVES[0], (float(output.scale[0]), 0))
