"""A detector's loss: smooth L1 on the codes of matched anchors, and cross entropy of the scores of chosen ones.

(Liu et al., arXiv 1512.02325, equations 1 to 3.) Scores are `exclusive`, a softmax over all columns of an anchor, or
`independent`, a sigmoid of each, as `ssdlite_mobilenet_v2_coco.config` has them. Which anchors' scores count is a
choice: the matched ones and the hardest others, three for each (section 2.2, hard negative mining); or all of them,
those that are right already by less and less (focal loss, Lin et al., arXiv 1708.02002).
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from edge.errors import UsageError, unknown_name
from edge.port import Scores
from edge.recipe.recipe import ScoreLoss
from edge.training.box_matching import BACKGROUND, IGNORED, BoxTargets
from edge.training.independent_losses import binary_distillation_loss
from edge.training.losses import distillation_loss

NEGATIVES_PER_POSITIVE = 3
LEAST_NEGATIVES = 3
"""Of an image: one without boxes teaches too (`min_negatives_per_image` of the configuration)."""
FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0
"""Lin et al., section 5.1."""


def detection_loss(
    codes: Tensor,
    logits: Tensor,
    targets: BoxTargets,
    scores: ScoreLoss = "hard_negatives",
    *,
    meaning: Scores = "independent",
    weight: float = 1.0,
) -> Tensor:
    """Both losses, each summed over anchors and divided by the batch's matched anchors (by 1 where there are none).

    Args:
        codes: float (n, anchors, 4). logits: float (n, anchors, 1 + classes), column 0 the background.
        meaning: of the scores.
        weight: of the codes' loss.

    Raises:
        UsageError: an unknown `scores`, or one that is not of scores of this meaning; targets of another shape or with
            classes that the logits have no column for.
    """
    if scores not in SCORE_LOSSES:
        raise UsageError(unknown_name("loss of scores", str(scores), SCORE_LOSSES))
    if meaning not in SCORE_LOSSES[scores]:
        raise UsageError(
            f'score_loss = "{scores}" is of {" and ".join(SCORE_LOSSES[scores])} scores, not {meaning} ones'
        )
    if codes.shape != targets.codes.shape or logits.shape[:2] != targets.columns.shape:
        raise UsageError(
            f"codes {tuple(codes.shape)} and logits {tuple(logits.shape)} for targets {tuple(targets.codes.shape)}"
        )
    largest = int(targets.columns.max())
    if largest >= logits.shape[2]:
        raise UsageError(f"label {largest - 1} for a model of {logits.shape[2] - 1} classes")
    matched = (targets.columns > BACKGROUND).sum().clamp(min=1)
    return (weight * code_loss(codes, targets) + SCORE_LOSSES[scores][meaning](logits, targets.columns)) / matched


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
    return _with_hard_negatives(_cross_entropy(logits.float(), columns).sum(dim=2), columns)


def softmax_hard_negative_loss(logits: Tensor, columns: Tensor) -> Tensor:
    """Liu et al., equation 3: as `hard_negative_loss`, of the softmax over all columns of an anchor."""
    real = logits.float().transpose(1, 2)
    losses = functional.cross_entropy(real, columns.clamp(min=BACKGROUND), reduction="none")
    return _with_hard_negatives(losses, columns)


def _with_hard_negatives(losses: Tensor, columns: Tensor) -> Tensor:
    """The sum over the matched anchors and each image's hardest others, of losses (n, anchors)."""
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
    student: tuple[Tensor, Tensor],
    teacher: tuple[Tensor, Tensor],
    temperature: float,
    *,
    meaning: Scores = "independent",
) -> Tensor:
    """How far a detector's outputs are from a teacher's, on the scale of `detection_loss`.

    T^2 * KL of every logit's yes and no (`binary_distillation_loss`), of exclusive scores that of every anchor's
    softmax, summed over all anchors; smooth L1 of the codes times the largest probability that the teacher gives a
    class there; both divided by the sum of those probabilities (by 1 where it is less), which is to the teacher what
    the matched anchors are to labels.

    Args:
        student, teacher: codes float (n, anchors, 4), logits float (n, anchors, 1 + classes).
    """
    (codes, logits), (told_codes, told_logits) = student, teacher
    likely = PROBABILITIES[meaning](told_logits.float())[:, :, 1:].amax(dim=2)
    differences = functional.smooth_l1_loss(codes.float(), told_codes.float(), reduction="none").sum(dim=2)
    divergence = DIVERGENCES[meaning](logits, told_logits, temperature)
    return (divergence + (likely * differences).sum()) / likely.sum().clamp(min=1)


def _one_hot(logits: Tensor, columns: Tensor) -> Tensor:
    return functional.one_hot(columns.clamp(min=BACKGROUND), logits.shape[2]).to(logits.dtype)


def _cross_entropy(logits: Tensor, columns: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, _one_hot(logits, columns), reduction="none")


def _binary_divergence(logits: Tensor, told: Tensor, temperature: float) -> Tensor:
    return binary_distillation_loss(logits, told, temperature) * logits.numel()


def _softmax_divergence(logits: Tensor, told: Tensor, temperature: float) -> Tensor:
    rows = logits.shape[0] * logits.shape[1]
    return distillation_loss(logits.flatten(0, 1), told.flatten(0, 1), temperature) * rows


SCORE_LOSSES: Mapping[str, Mapping[Scores, Callable[[Tensor, Tensor], Tensor]]] = {
    "hard_negatives": {"independent": hard_negative_loss, "exclusive": softmax_hard_negative_loss},
    "focal": {"independent": focal_loss},
}
"""By `score_loss` and by what the scores are."""
PROBABILITIES: Mapping[Scores, Callable[[Tensor], Tensor]] = {
    "independent": torch.sigmoid,
    "exclusive": lambda logits: logits.softmax(dim=2),
}
DIVERGENCES: Mapping[Scores, Callable[[Tensor, Tensor, float], Tensor]] = {
    "independent": _binary_divergence,
    "exclusive": _softmax_divergence,
}
