"""A detector's loss: smooth L1 on the codes of matched anchors, and the sigmoid scores of chosen ones.

(Liu et al., arXiv 1512.02325, equations 1 and 2, with sigmoids as `ssdlite_mobilenet_v2_coco.config` has them.) Which
anchors' scores count is a choice: the matched ones and the hardest others, three for each (section 2.2, hard negative
mining); or all of them, those that are right already by less and less (focal loss, Lin et al., arXiv 1708.02002).
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from edge.errors import UsageError, unknown_name
from edge.recipe.recipe import ScoreLoss
from edge.training.box_matching import BACKGROUND, IGNORED, BoxTargets
from edge.training.independent_losses import binary_distillation_loss

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
    matched = (targets.columns > BACKGROUND).sum().clamp(min=1)
    return (weight * code_loss(codes, targets) + SCORE_LOSSES[scores](logits, targets.columns)) / matched


def code_loss(codes: Tensor, targets: BoxTargets) -> Tensor:
    """Smooth L1 (0.5 x^2 below 1, |x| - 0.5 above), summed over the four numbers of all matched anchors."""
    rows = targets.columns > BACKGROUND
    return functional.smooth_l1_loss(codes.float()[rows], targets.codes[rows], reduction="sum")


def hard_negative_loss(logits: Tensor, columns: Tensor) -> Tensor:
    """Binary cross entropy of all columns, summed over the matched anchors and each image's hardest others.

    Hard are those with the largest loss; of an image three for each matched anchor, and at least three.

    Args:
        columns: int64 (n, anchors), see `BoxTargets`.
    """
    losses = _cross_entropy(logits.float(), columns).sum(dim=2)
    matched = columns > BACKGROUND
    wanted = (NEGATIVES_PER_POSITIVE * matched.sum(dim=1, keepdim=True)).clamp(min=LEAST_NEGATIVES)
    hardness = losses.detach().masked_fill(columns != BACKGROUND, -torch.inf)
    order = hardness.argsort(dim=1, descending=True, stable=True)
    places = torch.arange(columns.shape[1], device=columns.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(1, order, places)
    return losses[matched | ((rank < wanted) & (columns == BACKGROUND))].sum()


def focal_loss(logits: Tensor, columns: Tensor) -> Tensor:
    """Lin et al., equation 5, of every column of every anchor, summed.

    The cross entropy of a column times alpha where it holds, 1 - alpha where not, times (1 - p)^gamma, with p the
    probability given to what is the case.
    """
    real = logits.float()
    holds = _one_hot(real, columns)
    given = torch.sigmoid(torch.where(holds > 0, real, -real))
    share = torch.where(holds > 0, FOCAL_ALPHA, 1 - FOCAL_ALPHA)
    losses = share * (1 - given) ** FOCAL_GAMMA * _cross_entropy(real, columns)
    return losses[columns != IGNORED].sum()


def detection_distillation_loss(
    student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], temperature: float
) -> Tensor:
    """How far a detector's outputs are from a teacher's, on the scale of `detection_loss`.

    T^2 * KL of every logit's yes and no (`binary_distillation_loss`), summed over all anchors; smooth L1 of the codes
    times the largest probability that the teacher gives a class there; both divided by the sum of those
    probabilities (by 1 where it is less), which is to the teacher what the matched anchors are to labels.

    Args:
        student, teacher: codes float (n, anchors, 4), logits float (n, anchors, 1 + classes).
    """
    (codes, logits), (told_codes, told_logits) = student, teacher
    likely = torch.sigmoid(told_logits.float()[:, :, 1:]).amax(dim=2)
    differences = functional.smooth_l1_loss(codes.float(), told_codes.float(), reduction="none").sum(dim=2)
    divergence = binary_distillation_loss(logits, told_logits, temperature) * logits.numel()
    return (divergence + (likely * differences).sum()) / likely.sum().clamp(min=1)


def _one_hot(logits: Tensor, columns: Tensor) -> Tensor:
    return functional.one_hot(columns.clamp(min=BACKGROUND), logits.shape[2]).to(logits.dtype)


def _cross_entropy(logits: Tensor, columns: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, _one_hot(logits, columns), reduction="none")


SCORE_LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "hard_negatives": hard_negative_loss,
    "focal": focal_loss,
}
