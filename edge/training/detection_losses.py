"""A detector's loss: smooth L1 on the codes of matched anchors, and the sigmoid scores of chosen ones.

(Liu et al., arXiv 1512.02325, equations 1 and 2, with sigmoids as `ssdlite_mobilenet_v2_coco.config` has them.) Which
anchors' scores count is a choice: the matched ones and the hardest others, three for each (section 2.2, hard negative
mining); or all of them, those that are right already by less and less (focal loss, Lin et al., arXiv 1708.02002).
"""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from edge.errors import UsageError, unknown_name
from edge.training.box_matching import BACKGROUND, BoxTargets

ScoreLoss = Literal["hard_negatives", "focal"]

NEGATIVES_PER_POSITIVE = 3
LEAST_NEGATIVES = 3
"""Of an image: one without boxes teaches too (`min_negatives_per_image` of the configuration)."""
FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0
"""Lin et al., section 5.1."""


def detection_loss(
    codes: Tensor, logits: Tensor, targets: BoxTargets, scores: ScoreLoss = "hard_negatives", *, weight: float = 1.0
) -> Tensor:
    """Both losses, each summed over anchors and divided by the batch's matched anchors (by 1 where there are none).

    Args:
        codes: float (n, anchors, 4). logits: float (n, anchors, 1 + classes), column 0 the background.
        weight: of the codes' loss.

    Raises:
        UsageError: an unknown `scores`, or targets of another shape or with classes that the logits have no column for.
    """
    if scores not in SCORE_LOSSES:
        raise UsageError(unknown_name("loss of scores", str(scores), SCORE_LOSSES))
    if codes.shape != targets.codes.shape or logits.shape[:2] != targets.columns.shape:
        raise UsageError(
            f"codes {tuple(codes.shape)} and logits {tuple(logits.shape)} for targets {tuple(targets.codes.shape)}"
        )
    largest = int(targets.columns.max())
    if largest >= logits.shape[2]:
        raise UsageError(f"label {largest - 1} for a model of {logits.shape[2] - 1} classes")
    matched = (targets.columns != BACKGROUND).sum().clamp(min=1)
    return (weight * code_loss(codes, targets) + SCORE_LOSSES[scores](logits, targets.columns)) / matched


def code_loss(codes: Tensor, targets: BoxTargets) -> Tensor:
    """Smooth L1 (0.5 x^2 below 1, |x| - 0.5 above), summed over the four numbers of all matched anchors."""
    rows = targets.columns != BACKGROUND
    return functional.smooth_l1_loss(codes.float()[rows], targets.codes[rows], reduction="sum")


def hard_negative_loss(logits: Tensor, columns: Tensor) -> Tensor:
    """Binary cross entropy of all columns, summed over the matched anchors and each image's hardest others.

    Hard are those with the largest loss; of an image three for each matched anchor, and at least three.

    Args:
        columns: int64 (n, anchors), see `BoxTargets`.
    """
    losses = _cross_entropy(logits.float(), columns).sum(dim=2)
    matched = columns != BACKGROUND
    wanted = (NEGATIVES_PER_POSITIVE * matched.sum(dim=1, keepdim=True)).clamp(min=LEAST_NEGATIVES)
    hardness = losses.detach().masked_fill(matched, -torch.inf)
    order = hardness.argsort(dim=1, descending=True, stable=True)
    places = torch.arange(columns.shape[1], device=columns.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(1, order, places)
    return losses[matched | ((rank < wanted) & ~matched)].sum()


def focal_loss(logits: Tensor, columns: Tensor) -> Tensor:
    """Lin et al., equation 5, of every column of every anchor, summed.

    The cross entropy of a column times alpha where it holds, 1 - alpha where not, times (1 - p)^gamma, with p the
    probability given to what is the case.
    """
    real = logits.float()
    holds = _one_hot(real, columns)
    given = torch.sigmoid(torch.where(holds > 0, real, -real))
    share = torch.where(holds > 0, FOCAL_ALPHA, 1 - FOCAL_ALPHA)
    return (share * (1 - given) ** FOCAL_GAMMA * _cross_entropy(real, columns)).sum()


def _one_hot(logits: Tensor, columns: Tensor) -> Tensor:
    return functional.one_hot(columns, logits.shape[2]).to(logits.dtype)


def _cross_entropy(logits: Tensor, columns: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, _one_hot(logits, columns), reduction="none")


SCORE_LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "hard_negatives": hard_negative_loss,
    "focal": focal_loss,
}
