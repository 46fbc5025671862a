"""Which anchor learns which box (Liu et al., arXiv 1512.02325, section 2.2, matching strategy), and its code.

Boxes are float32 (n, 4), x0, y0, x1, y1; anchors float32 (anchors, 4), centre y, centre x, height, width, as
`edge.vision.anchors` makes them, in the same unit: shares of the image's sides.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from edge.errors import UsageError
from edge.vision.box_coder import BoxCoder

LEAST_OVERLAP = 0.5
LEAST_COVERED = 0.5
"""Share of an anchor's area within an ignored box from which it learns nothing, as COCO's evaluation takes crowds."""
NO_BOX = -1
BACKGROUND = 0
IGNORED = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class BoxBatch:
    """The boxes of a batch, by image, of any number each.

    Attributes:
        boxes: float32 (n, 4), x0, y0, x1, y1 in pixels of the model's input.
        labels: int64 (n,), 0 for the first class.
        ignored: bool (n,): neither trained on nor against.
    """

    boxes: tuple[Tensor, ...]
    labels: tuple[Tensor, ...]
    ignored: tuple[Tensor, ...]

    def to(self, device: torch.device) -> "BoxBatch":
        """The same on a device."""
        return BoxBatch(
            boxes=tuple(part.to(device) for part in self.boxes),
            labels=tuple(part.to(device) for part in self.labels),
            ignored=tuple(part.to(device) for part in self.ignored),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class BoxTargets:
    """What the anchors of a batch of images are to say.

    Attributes:
        codes: float32 (n, anchors, 4), ty, tx, th, tw; 0 where there is no box.
        columns: int64 (n, anchors): the column of the logits, 0 for the background, 1 + label for a box; IGNORED where
            nothing is learned.
    """

    codes: Tensor
    columns: Tensor


def corners(anchors: Tensor) -> Tensor:
    """Anchors as x0, y0, x1, y1: float (anchors, 4)."""
    centres, halves = anchors[:, :2], anchors[:, 2:] / 2
    return torch.cat([(centres - halves).flip(1), (centres + halves).flip(1)], dim=1)


def overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of every pair: float (boxes, others); 0 where both are empty."""
    low = torch.maximum(boxes[:, None, :2], others[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=2)
    areas = [(given[:, 2:] - given[:, :2]).prod(dim=1) for given in (boxes, others)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return torch.where(union > 0, shared / union.clamp(min=torch.finfo(union.dtype).tiny), torch.zeros_like(shared))


def matched(boxes: Tensor, anchors: Tensor, least: float = LEAST_OVERLAP) -> Tensor:
    """For every anchor the index of its box, or NO_BOX: int64 (anchors,).

    An anchor takes the box that it overlaps most, if by `least` or more; of equal overlaps the first. Besides, every
    box has an anchor of its own: the pair of box and anchor that overlap most of all is joined first, then the
    best of the boxes and anchors that are left, whatever the overlap.

    Raises:
        UsageError: more boxes than anchors.
    """
    if len(boxes) > len(anchors):
        raise UsageError(f"{len(boxes)} boxes in one image for {len(anchors)} anchors; every box needs one of its own")
    if not len(boxes):
        return torch.full((len(anchors),), NO_BOX, dtype=torch.int64, device=anchors.device)
    shared = overlaps(boxes, corners(anchors))
    best, found = shared.max(dim=0)
    found = torch.where(best >= least, found, NO_BOX)
    own = _own_anchors(shared)
    found[own] = torch.arange(len(boxes), device=found.device)
    return found


def _own_anchors(shared: Tensor) -> Tensor:
    """An anchor for every box, no two the same: int64 (boxes,)."""
    own = shared.argmax(dim=1)
    if len(set(own.tolist())) == len(own):
        return own  # nobody's first choice is another's: so would the pairs be, one after the other
    left = shared.clone()
    for _ in range(len(own)):
        box, anchor = divmod(int(left.argmax()), left.shape[1])
        own[box] = anchor
        left[box] = left[:, anchor] = -1
    return own


def encoded(boxes: Tensor, anchors: Tensor, coder: BoxCoder) -> Tensor:
    """The codes of boxes relative to anchors, one each: float (n, 4); the inverse of `decode_boxes`.

    (Ren et al., arXiv 1506.01497, equation 2, times the coder's factors.) Boxes have an area above 0.
    """
    low, high = boxes[:, :2].flip(1), boxes[:, 2:].flip(1)  # y, x
    places = ((low + high) / 2 - anchors[:, :2]) / anchors[:, 2:]
    sizes = torch.log((high - low) / anchors[:, 2:])
    return torch.cat([places, sizes], dim=1) * torch.tensor(coder.scales, dtype=boxes.dtype, device=boxes.device)


def covered(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Whether LEAST_COVERED of an anchor's area or more lies in one of these boxes: bool (anchors,)."""
    if not len(boxes):
        return torch.zeros(len(anchors), dtype=torch.bool, device=anchors.device)
    given = corners(anchors)
    low = torch.maximum(boxes[:, None, :2], given[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], given[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=2).amax(dim=0)
    return shared >= LEAST_COVERED * anchors[:, 2:].prod(dim=1)


def box_targets(
    batch: BoxBatch, anchors: Tensor, size_hw: tuple[int, int], coder: BoxCoder, least: float = LEAST_OVERLAP
) -> BoxTargets:
    """What a batch's anchors are to say.

    Args:
        batch: boxes of an area above 0; an anchor that lies in an ignored one and matches no other learns nothing.
        anchors: float32 (anchors, 4), on the batch's device.
        size_hw: of the model's input, in pixels.
    """
    height, width = size_hw
    sides = torch.tensor([width, height, width, height], dtype=anchors.dtype, device=anchors.device)
    count = len(batch.boxes)
    codes = torch.zeros(count, len(anchors), 4, dtype=anchors.dtype, device=anchors.device)
    columns = torch.full((count, len(anchors)), BACKGROUND, dtype=torch.int64, device=anchors.device)
    for image, (given, classes, ignored) in enumerate(zip(batch.boxes, batch.labels, batch.ignored, strict=True)):
        shares = given.to(anchors) / sides
        columns[image, covered(shares[ignored], anchors)] = IGNORED
        shares, classes = shares[~ignored], classes[~ignored]
        found = matched(shares, anchors, least)
        rows = (found != NO_BOX).nonzero().flatten()
        codes[image, rows] = encoded(shares[found[rows]], anchors[rows], coder)
        columns[image, rows] = 1 + classes[found[rows]]
    return BoxTargets(codes=codes, columns=columns)
