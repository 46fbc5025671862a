import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.artifact.scheme import (
    BIAS_LIMIT,
    Scheme,
    activation_parameters,
    input_range,
    quantize_bias,
    quantize_weight,
    weight_scales,
)
from edge.errors import EdgeError
from tests.support.examples import examples

ENDS = st.floats(-1e4, 1e4, width=32)


@given(ENDS, ENDS)
def test_zero_is_an_integer_and_the_range_is_covered_to_a_quantum(a: float, b: float) -> None:
    low, high = min(a, b, 0.0), max(a, b, 0.0)
    scale, zero_point = activation_parameters(low, high)
    assert scale.dtype == np.float32 and -128 <= zero_point <= 127
    if high - low >= 2.0**-20:
        assert (-128 - zero_point) * float(scale) <= low + float(scale)
        assert (127 - zero_point) * float(scale) >= high - float(scale)


def test_a_scale_per_tensor_is_the_largest_of_its_channels() -> None:
    weight, bias = np.float32([[1.0, -2.0], [0.0, 0.0]]), np.float32([0.0, 5.0])
    scales = weight_scales(weight, bias, 0.1, "per_tensor")
    assert scales.tolist() == [weight_scales(weight, bias, 0.1).max()] * 2
    bias[1] = 2e8  # whose int32 needs a larger scale than the weights do
    assert weight_scales(weight, bias, 0.1, "per_tensor").tolist() == [weight_scales(weight, bias, 0.1)[1]] * 2


def test_a_rectified_range_starts_at_minus_128() -> None:
    assert activation_parameters(0.0, 6.0) == (np.float32(6.0) / np.float32(255), -128)


def test_every_step_is_rounded_to_float32() -> None:
    low, high = np.float32(-1.1), np.float32(2.3)
    scale = np.float32(np.float32(high - low) / np.float32(255))
    assert activation_parameters(float(low), float(high)) == (scale, int(np.rint(np.float32(-128) - low / scale)))


def test_a_tensor_that_is_always_zero_gets_a_harmless_range() -> None:
    assert activation_parameters(0.0, 0.0) == activation_parameters(0.0, 1.0)


@pytest.mark.parametrize("ends", [(float("nan"), 1.0), (0.0, float("inf")), (2.0, 1.0)])
def test_what_is_no_range_is_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(EdgeError, match="cannot be quantized"):
        activation_parameters(*ends)


def test_the_largest_weight_of_a_channel_is_127() -> None:
    weight = np.random.default_rng(0).normal(size=(6, 4, 3, 3)).astype(np.float32)
    integers = quantize_weight(weight, weight_scales(weight))
    assert integers.dtype == np.int8
    assert (np.abs(integers).reshape(6, -1).max(axis=1) == 127).all()
    assert (
        np.abs(integers * weight_scales(weight)[:, None, None, None] - weight).max() <= weight_scales(weight).max() / 2
    )


@examples(50)
@given(st.floats(0, 2**-20, width=32), st.floats(-1e3, 1e3, width=32), st.floats(2**-20, 10, width=32))
def test_the_bias_of_a_dead_channel_fits(weight: float, bias: float, input_scale: float) -> None:
    weights, biases = np.full((1, 3), weight, np.float32), np.array([bias], np.float32)
    scale = weight_scales(weights, biases, input_scale)
    assert abs(int(quantize_bias(biases, input_scale, scale)[0])) <= BIAS_LIMIT * (1 + 1e-6)


def test_a_weight_that_is_not_finite_is_refused() -> None:
    with pytest.raises(EdgeError, match="not a finite number"):
        weight_scales(np.array([[np.nan]], np.float32))


def test_a_bias_that_does_not_fit_is_refused() -> None:
    with pytest.raises(EdgeError, match="does not fit int32"):
        quantize_bias(np.array([1e6], np.float32), 1e-6, np.array([1e-6], np.float32))


def test_grey_levels_stay_apart_and_off_the_ties() -> None:
    levels = (np.arange(256, dtype=np.float32) - np.float32(127.5)) / np.float32(127.5)
    scale, zero_point = activation_parameters(*input_range(levels))
    integers = np.clip(np.rint(levels / scale) + zero_point, -128, 127)
    assert len(np.unique(integers)) >= 255
    assert np.abs(levels / scale + zero_point - integers).mean() < 0.3  # 0.5 with the plain range
    plain_scale, plain_zero = activation_parameters(-1.0, 1.0)
    assert np.abs(levels / plain_scale + plain_zero - np.rint(levels / plain_scale + plain_zero)).mean() > 0.49


def test_levels_that_fit_exactly_keep_their_range() -> None:
    assert input_range(np.arange(256, dtype=np.float32) / np.float32(255)) == (0.0, 1.0)


def test_only_the_one_scheme_is_accepted() -> None:
    assert Scheme().model_dump()["weight_bits"] == 8
    for wrong in ({"weight_bits": 4}, {"weight_granularity": "per_row"}, {"wieght_bits": 8}):
        with pytest.raises(ValidationError):
            Scheme(**wrong)
