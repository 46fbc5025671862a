"""SAME padding against its definition, and against the networks' own rule."""

import itertools

import pytest

from edge.graph.ops.padding import same_pads, window_output_hw
from edge.models.blocks import same_padding

CASES = list(itertools.product(range(1, 12), range(1, 6), range(1, 4), range(1, 3)))


def test_same_padding_gives_one_output_per_stride() -> None:
    for size, kernel, stride, dilation in CASES:
        pads = same_pads((size, size), (kernel, kernel), (stride, stride), (dilation, dilation))
        if kernel >= stride:
            found = window_output_hw((size, size), (kernel, kernel), (stride, stride), (dilation, dilation), pads)
            assert found == (-(-size // stride),) * 2


def test_same_padding_is_the_networks_own() -> None:
    for size, kernel, stride, dilation in CASES:
        top, left, bottom, right = same_pads((size, size), (kernel, kernel), (stride, stride), (dilation, dilation))
        assert (top, bottom) == (left, right) == same_padding(size, kernel, stride, dilation)


@pytest.mark.parametrize(("size", "expected"), [(224, (0, 0, 1, 1)), (15, (1, 1, 1, 1))])
def test_a_stride_2_window_pads_the_bottom_and_right_of_an_even_size_only(
    size: int, expected: tuple[int, int, int, int]
) -> None:
    assert same_pads((size, size), (3, 3), (2, 2), (1, 1)) == expected
