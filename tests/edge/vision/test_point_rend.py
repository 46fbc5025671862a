"""PointRend at inference: what is enlarged, chosen and gathered, in integers as XNNPACK's resize has it."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge.port import DescribedPort
from edge.vision.bilinear import WEIGHT_BITS, bilinear_matrix
from edge.vision.point_rend import CODES, PointRule, Points, enlarged, refined, sample, uncertain

Array = npt.NDArray[Any]
RANDOM = np.random.default_rng(0)
COARSE_HW, FINE_HW, INPUT_HW = (5, 7), (10, 14), (40, 56)
CLASSES, FEATURES, POINTS = 3, 4, 60


def resized(plane: Array, size_hw: tuple[int, int]) -> Array:
    """XNNPACK's 8-bit resize by its definition: exact weights, one rounding, halves up."""
    rows, columns = (
        np.rint(bilinear_matrix(size, to, "half_pixel") * (1 << WEIGHT_BITS)).astype(np.int64)
        for size, to in zip(plane.shape, size_hw, strict=True)
    )
    exact = rows @ plane.astype(np.int64) @ columns.T
    return np.asarray((exact + (1 << (2 * WEIGHT_BITS - 1))) >> (2 * WEIGHT_BITS))


def port(shape: tuple[int, ...], zero_point: int | None, *, dtype: str = "int8", layout: str = "nhwc") -> DescribedPort:
    scale = None if zero_point is None else 0.1
    return DescribedPort(
        name="x", shape=shape, dtype=dtype, scale=scale, zero_point=zero_point, layout=layout, meaning="logits"
    )


def outputs() -> tuple[Array, Array]:
    coarse = RANDOM.integers(-128, 128, (1, *COARSE_HW, CLASSES)).astype(np.int8)
    return coarse, RANDOM.integers(-128, 128, (1, *FINE_HW, FEATURES)).astype(np.int8)


def test_enlarging_integers_is_the_resize_of_the_kernels_and_stops_at_the_size_of_the_input() -> None:
    planes = RANDOM.integers(-255, 256, (2, *COARSE_HW)).astype(np.int16)
    twice = (2 * COARSE_HW[0], 2 * COARSE_HW[1])
    found = enlarged(planes, INPUT_HW)
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, [resized(plane, twice) for plane in planes])
    np.testing.assert_allclose(enlarged(planes.astype(np.float32), INPUT_HW), found, atol=0.5)
    assert enlarged(planes, (INPUT_HW[0], 2 * COARSE_HW[1] - 1)) is planes


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_a_sampled_value_is_that_of_the_resized_map(dtype: type) -> None:
    limits = np.iinfo(dtype)
    planes = RANDOM.integers(limits.min, limits.max + 1, (3, *COARSE_HW)).astype(dtype)
    grid_hw = (20, 28)
    whole = np.stack([resized(plane, grid_hw).ravel() for plane in planes], axis=1)
    places = RANDOM.integers(0, whole.shape[0], 50)
    rows = planes.reshape(3, -1).T
    np.testing.assert_array_equal(sample(rows, COARSE_HW, places, grid_hw), whole[places])
    np.testing.assert_allclose(sample(rows.astype(np.float32), COARSE_HW, places, grid_hw), whole[places], atol=0.5001)


def test_points_are_those_of_the_smallest_margins_and_the_first_of_equal_ones() -> None:
    best = np.array([[9, 9, 9], [9, 9, 9]], np.int16)
    second = np.array([[1, 8, 4], [8, 4, 4]], np.int16)
    planes = np.stack([best, np.zeros_like(best), second])
    assert uncertain(planes, 3).tolist() == [1, 3, 2]  # of the three at 4 the first
    assert uncertain(planes.astype(np.float32), 3).tolist() == [1, 3, 2]
    assert sorted(uncertain(planes, 6)) == list(range(6))
    assert uncertain(planes, 8).tolist() == [0, 1, 2, 3, 4, 5, 0, 1]  # a head takes a fixed number
    noise = RANDOM.integers(-99, 99, (5, 30, 40)).astype(np.int16)
    top = np.sort(noise, axis=0)
    margin = (top[-1] - top[-2]).ravel()
    chosen = uncertain(noise, 200)
    assert len(set(chosen.tolist())) == 200 and margin[chosen].max() <= np.delete(margin, chosen).min()


def test_coarse_features_always_come_from_the_networks_own_map() -> None:
    coarse, fine = outputs()
    seen: list[Array] = []

    def run(given: Array) -> Array:
        seen.append(given)
        return np.full((1, POINTS, 1, CLASSES), 100, np.int8)  # no trace of the coarse map in the refined one

    told = (port(coarse.shape, 3), port(fine.shape, -128))
    points = Points(
        rule=PointRule(steps=3, points=POINTS, size_hw=INPUT_HW),
        given=port((1, POINTS, 1, FEATURES + CLASSES), 0),
        answer=port((1, POINTS, 1, CLASSES), 0),
        run=run,
    )
    made, described = refined((coarse, fine), told, points)
    assert (made.shape, described.dtype, described.zero_point) == ((1, CLASSES, 40, 56), "int16", 0)
    assert len(seen) == 3
    chosen = uncertain(enlarged(np.moveaxis(coarse[0], -1, 0).astype(np.int16) - 3, INPUT_HW), POINTS)
    first = seen[0][0, :, 0, :]
    np.testing.assert_array_equal(first[:, FEATURES:], sample(coarse.reshape(-1, CLASSES), COARSE_HW, chosen, (10, 14)))
    np.testing.assert_array_equal(first[:, :FEATURES], fine.reshape(-1, FEATURES)[chosen])
    values = set(coarse.ravel().tolist())
    low, high = min(values), max(values)
    assert all(low <= given[..., FEATURES:].min() and given[..., FEATURES:].max() <= high for given in seen)
    assert all((given[0, :, 0, FEATURES:] != 100).any(axis=1).mean() > 0.9 for given in seen)


def test_both_forms_of_the_files_give_the_same_integers() -> None:
    coarse, fine = outputs()

    def head(given: Array, first: int, axis: int) -> Array:
        moved = np.moveaxis(given.astype(np.int16) - first, axis, -1)
        answer = np.clip(moved[..., :CLASSES] + moved[..., -CLASSES:] // 2, -128, 127)
        return np.asarray(np.moveaxis(answer + first, -1, axis), dtype=given.dtype)

    rule = PointRule(steps=2, points=POINTS, size_hw=INPUT_HW)
    channels = FEATURES + CLASSES
    nhwc = Points(
        rule=rule,
        given=port((1, POINTS, 1, channels), 0),
        answer=port((1, POINTS, 1, CLASSES), -7),
        run=lambda given: head(given, 0, -1),
    )
    nchw = Points(
        rule=rule,
        given=port((1, channels, POINTS, 1), CODES, dtype="uint8", layout="nchw"),
        answer=port((1, CLASSES, POINTS, 1), CODES - 7, dtype="uint8", layout="nchw"),
        run=lambda given: head(given, CODES, 1),
    )
    tflite = refined((coarse, fine), (port(coarse.shape, 3), port(fine.shape, -128)), nhwc)[0]
    moved = [np.moveaxis(one.astype(np.int16) + CODES, -1, 1).astype(np.uint8) for one in (coarse, fine)]
    described = [
        port(one.shape, zero_point, dtype="uint8", layout="nchw")
        for one, zero_point in zip(moved, (3 + CODES, 0), strict=True)
    ]
    onnx = refined((moved[0], moved[1]), (described[0], described[1]), nchw)[0]
    np.testing.assert_array_equal(tflite, onnx)


def test_without_a_step_the_coarse_logits_stay_as_they_came() -> None:
    coarse, fine = outputs()
    told = (port(coarse.shape, 3), port(fine.shape, -128))
    points = Points(
        rule=PointRule(steps=0, points=POINTS, size_hw=INPUT_HW), given=told[0], answer=told[0], run=lambda given: given
    )
    made, described = refined((coarse, fine), told, points)
    assert made is coarse and described is told[0]
