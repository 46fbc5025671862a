"""Matching and codes against loops over anchors and boxes."""

import math

import numpy as np
import pytest
import torch

from edge.errors import UsageError
from edge.training.box_matching import (
    IGNORED,
    NO_BOX,
    BoxBatch,
    BoxTargets,
    box_targets,
    corners,
    encoded,
    matched,
    overlaps,
)
from edge.vision.anchors import anchor_boxes, ssd_grid
from edge.vision.box_coder import BoxCoder, decode_boxes

ANCHORS = torch.from_numpy(anchor_boxes(ssd_grid([(6, 6), (3, 3), (2, 2), (1, 1)])))
Box = tuple[float, float, float, float]


def targets_of(
    *images: tuple[torch.Tensor, torch.Tensor, list[bool]], size_hw: tuple[int, int] = (100, 200)
) -> BoxTargets:
    boxes, labels, ignored = zip(*images, strict=True)
    flags = tuple(torch.tensor(each, dtype=torch.bool) for each in ignored)
    return box_targets(BoxBatch(boxes=boxes, labels=labels, ignored=flags), ANCHORS, size_hw, BoxCoder())


def random_boxes(seed: int, count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    low, sides = torch.rand(count, 2, generator=generator) * 0.7, torch.rand(count, 2, generator=generator) * 0.3 + 0.02
    return torch.cat([low, low + sides], dim=1)


def overlap(a: Box, b: Box) -> float:
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union if union > 0 else 0.0


def as_box(anchor: list[float]) -> Box:
    y, x, height, width = anchor
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def matched_by_loops(boxes: torch.Tensor, least: float) -> list[int]:
    table = overlaps(boxes, corners(ANCHORS)).tolist()  # of a box within two anchors of one area they are equal
    found = []
    for place in range(len(ANCHORS)):
        column = [row[place] for row in table]
        best = max(range(len(column)), key=column.__getitem__) if column else NO_BOX
        found.append(best if column and column[best] >= least else NO_BOX)
    left_boxes, left_anchors = set(range(len(table))), set(range(len(ANCHORS)))
    while left_boxes:
        _, box, place = max((table[box][place], -box, -place) for box in left_boxes for place in left_anchors)
        found[-place] = -box
        left_boxes.remove(-box)
        left_anchors.remove(-place)
    return found


def test_overlaps_are_those_of_the_loops() -> None:
    boxes = torch.cat([random_boxes(4, 9), torch.tensor([[0.2, 0.2, 0.2, 0.2]])])  # the last is empty
    table = [[overlap(tuple(box), as_box(anchor)) for anchor in ANCHORS.tolist()] for box in boxes.tolist()]
    np.testing.assert_allclose(overlaps(boxes, corners(ANCHORS)).numpy(), table, atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 3, 8])
@pytest.mark.parametrize("seed", range(3))
def test_matching_is_that_of_the_loops(seed: int, count: int) -> None:
    boxes = random_boxes(seed, count)
    for least in (0.3, 0.5):
        assert matched(boxes, ANCHORS, least).tolist() == matched_by_loops(boxes, least)


def test_boxes_at_the_same_place_have_an_anchor_each() -> None:
    """The same box four times: the first choice is the same, and only one of them can have it."""
    boxes = random_boxes(5, 1).repeat(4, 1)
    found = matched(boxes, ANCHORS)
    assert set(found.tolist()) >= {0, 1, 2, 3}
    assert found.tolist() == matched_by_loops(boxes, 0.5)


def test_a_box_that_overlaps_nothing_by_much_is_forced() -> None:
    tiny = torch.tensor([[0.500, 0.500, 0.504, 0.504]])
    found = matched(tiny, ANCHORS)
    assert overlaps(tiny, corners(ANCHORS)).max() < 0.01 and (found == 0).sum() == 1


def test_more_boxes_than_anchors_are_refused() -> None:
    with pytest.raises(UsageError, match="3 boxes in one image for 2 anchors"):
        matched(random_boxes(0, 3), ANCHORS[:2])


def test_codes_are_the_formula_and_decode_to_the_box() -> None:
    coder = BoxCoder(y_scale=9, x_scale=11, height_scale=4, width_scale=6)
    boxes, anchors = random_boxes(1, 20), ANCHORS[:20]
    codes = encoded(boxes, anchors, coder)
    for (x0, y0, x1, y1), (cy, cx, h, w), code in zip(boxes.tolist(), anchors.tolist(), codes.tolist(), strict=True):
        expected = [
            9 * ((y0 + y1) / 2 - cy) / h,
            11 * ((x0 + x1) / 2 - cx) / w,
            4 * math.log((y1 - y0) / h),
            6 * math.log((x1 - x0) / w),
        ]
        assert code == pytest.approx(expected, rel=1e-4, abs=1e-4)
    np.testing.assert_allclose(decode_boxes(codes.numpy(), anchors.numpy(), coder), boxes.numpy(), atol=1e-5)


def test_targets_of_a_batch_say_what_decodes_to_its_boxes() -> None:
    """Pixels of an input that is not square; an image without boxes is background alone."""
    pixels = torch.tensor([[10.0, 20.0, 70.0, 60.0], [100.0, 5.0, 150.0, 90.0]])
    labels = torch.tensor([3, 0])
    found = targets_of((pixels, labels, [False, False]), (torch.zeros(0, 4), labels[:0], []))
    assert found.codes.shape == (2, len(ANCHORS), 4) and found.columns.shape == (2, len(ANCHORS))
    assert not found.columns[1].any() and not found.codes[1].any()
    rows = found.columns[0].nonzero().flatten()
    assert set(found.columns[0].tolist()) == {0, 4, 1}
    boxes = decode_boxes(found.codes[0, rows].numpy(), ANCHORS[rows].numpy(), BoxCoder())
    for box, column in zip(boxes * np.array([200, 100, 200, 100]), found.columns[0, rows].tolist(), strict=True):
        np.testing.assert_allclose(box, pixels[labels.tolist().index(column - 1)].numpy(), atol=1e-3)


def test_what_lies_in_an_ignored_box_learns_nothing_unless_a_box_is_there() -> None:
    """Anchors of which half or more is in a crowd are neither background nor box; a box among them keeps its own."""
    crowd, box = torch.tensor([0.0, 0, 89, 100]), torch.tensor([5.0, 5, 60, 45])
    labels = torch.tensor([0, 1])
    found = targets_of((torch.stack([crowd, box]), labels, [True, False]))
    alone = targets_of((box[None], labels[1:], [False]))
    whole = corners(ANCHORS)
    shown = (whole[:, 2].clamp(max=0.445) - whole[:, 0].clamp(min=0)).clamp(min=0)  # of the crowd
    tall = whole[:, 3].clamp(max=1) - whole[:, 1].clamp(min=0)
    most = shown * tall >= 0.5 * ANCHORS[:, 2:].prod(dim=1)
    assert torch.equal(found.columns[0] == IGNORED, most & (found.columns[0] != 2)) and most.any()
    assert torch.equal(found.columns[0] == 2, alone.columns[0] == 2) and (found.columns[0] == 2).any()
    assert torch.equal(found.codes, alone.codes)
    right = corners(ANCHORS)[:, 0] >= 0.5
    assert (found.columns[0, right] == alone.columns[0, right]).all()
    assert not (found.columns == 1).any()
