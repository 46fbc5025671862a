"""Anchors: counts and sizes of the published configurations, their order, and what regenerates them."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest

from edge.errors import UsageError
from edge.vision.anchors import AnchorGrid, AnchorMap, anchor_boxes, anchors_sha256, grid_of, ssd_grid

AT_320 = [(20, 20), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)]
AT_300 = [(19, 19), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)]


@pytest.mark.parametrize(("maps", "count"), [(AT_320, 2034), (AT_300, 1917)])
def test_the_published_counts(maps: list[tuple[int, int]], count: int) -> None:
    grid = ssd_grid(maps)
    assert grid.count == count and grid.per_place == (3, 6, 6, 6, 6, 6)
    assert anchor_boxes(grid).shape == (count, 4) and anchor_boxes(grid).dtype == np.float32


def test_sizes_are_scale_and_ratio_by_their_formula() -> None:
    grid = ssd_grid(AT_320)
    scales = [0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0]
    shapes = [[(0.1, 1), (0.2, 2), (0.2, 0.5)]]
    for this, following in pairwise(scales[1:]):
        ratios = (1, 2, 0.5, 3, 1 / 3)
        shapes.append([*((this, ratio) for ratio in ratios), (math.sqrt(this * following), 1)])
    for told, wanted in zip(grid.maps, shapes, strict=True):
        assert len(told.sizes_hw) == len(wanted)
        for (height, width), (scale, ratio) in zip(told.sizes_hw, wanted, strict=True):
            assert height * width == pytest.approx(scale**2) and width / height == pytest.approx(ratio)


def test_the_order_is_maps_rows_columns_and_the_anchors_of_a_place() -> None:
    grid = AnchorGrid(
        maps=(
            AnchorMap(rows=2, columns=3, sizes_hw=((0.1, 0.2), (0.3, 0.4))),
            AnchorMap(rows=1, columns=1, sizes_hw=((0.5, 0.6),)),
        )
    )
    expected = [
        ((row + 0.5) / told.rows, (column + 0.5) / told.columns, *size)
        for told in grid.maps
        for row in range(told.rows)
        for column in range(told.columns)
        for size in told.sizes_hw
    ]
    np.testing.assert_array_equal(anchor_boxes(grid), np.array(expected, np.float32))


def test_nothing_is_clipped() -> None:
    last = anchor_boxes(ssd_grid(AT_320))[-5]  # the last map's widest, ratio 2
    np.testing.assert_allclose(last, [0.5, 0.5, 0.95 / math.sqrt(2), 0.95 * math.sqrt(2)], rtol=1e-6)
    assert last[3] > 1


def test_plain_data_regenerates_the_same_bytes() -> None:
    grid = ssd_grid(AT_300)
    again = grid_of(json.loads(json.dumps(grid.plain)))
    assert again == grid
    digest = anchors_sha256(anchor_boxes(grid))
    assert anchors_sha256(anchor_boxes(again)) == digest
    assert digest == "ce3565fb6a5d96912ec84bb0dd19f27cfc0a71e691c4521f1ab51631ac32afc0"
    assert anchors_sha256(anchor_boxes(ssd_grid(AT_320))) != digest


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ((), "0 anchors on 0 maps"),
        (((0, 3, ((0.1, 0.1),)),), "a map of 0x3 places"),
        (((3, 3, ()),), "with 0 anchors each"),
        (((3, 3, ((0.1, 0.0),)),), "above 0"),
        (((3, 3, ((0.1, math.nan),)),), "above 0"),
        (((2000, 2000, ((0.1, 0.1),)),), "4,000,000 anchors"),
    ],
)
def test_what_is_no_grid_is_refused_with_the_value(maps: tuple, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        AnchorGrid(maps=tuple(AnchorMap(rows=rows, columns=columns, sizes_hw=sizes) for rows, columns, sizes in maps))


def test_one_map_has_no_scales_between() -> None:
    with pytest.raises(UsageError, match="1 maps"):
        ssd_grid([(3, 3)])
