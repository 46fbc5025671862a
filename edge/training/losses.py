"""Losses by what a network's scores mean: on labels or masks, with auxiliary heads, and from a teacher."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from edge.data.class_counts import class_shares
from edge.data.splits import Split
from edge.errors import UsageError
from edge.port import Scores
from edge.recipe.recipe import Phase
from edge.training.independent_losses import binary_distillation_loss, binary_label_loss, positive_weights

NO_CLASS = 255


def label_loss(
    logits: Tensor,
    target: Tensor,
    *,
    weights: Tensor | None = None,
    label_smoothing: float = 0.0,
    stride: int = 1,
) -> Tensor:
    """Cross entropy, averaged over labelled samples or pixels with the classes' weights.

    Args:
        logits: float (n, classes), or (n, classes, h', w') of any resolution.
        target: int64 (n,), or int64 (n, h, w) with `NO_CLASS` where there is none. A batch without any labelled
            pixel has loss 0.
        stride: for masks: the loss is taken at 1 / stride of the mask's size, there the logits are resized to
            (bilinear, half-pixel centres) and the mask is sampled at the nearest pixel.
    """
    logits = logits.float()
    if target.ndim == 3:
        size_hw = (target.shape[1] // stride, target.shape[2] // stride)
        target = target[:, stride // 2 :: stride, stride // 2 :: stride][:, : size_hw[0], : size_hw[1]]
        logits = resize_logits(logits, size_hw)
    losses = functional.cross_entropy(
        logits, target, weight=weights, ignore_index=NO_CLASS, label_smoothing=label_smoothing, reduction="sum"
    )
    counted = (target != NO_CLASS).float()
    if weights is not None:
        counted = counted * weights[target.clamp(max=len(weights) - 1)]
    return losses / counted.sum().clamp(min=1e-6)


def resize_logits(logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Bilinear, half-pixel centres: float (n, classes, h', w') to (n, classes, h, w)."""
    if tuple(logits.shape[2:]) == size_hw:
        return logits
    return functional.interpolate(logits, size=size_hw, mode="bilinear", align_corners=False)


def auxiliary_loss(
    outputs: Sequence[Tensor],
    target: Tensor,
    *,
    scores: Scores = "exclusive",
    weight: float,
    stride: int,
    auxiliary_stride: int,
    weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """The main output's loss plus `weight` times that of each auxiliary head (Fast-SCNN, section 4.1: 0.4)."""
    main, *auxiliary = outputs
    label = LOSSES[scores].label
    loss = label(main, target, weights=weights, label_smoothing=label_smoothing, stride=stride)
    for logits in auxiliary:
        loss = loss + weight * label(
            logits, target, weights=weights, label_smoothing=label_smoothing, stride=auxiliary_stride
        )
    return loss


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 * KL(teacher / T || student / T), averaged over samples or pixels (Hinton et al., arXiv 1503.02531).

    Args:
        student, teacher: logits, float (n, classes) or (n, classes, h, w).
    """
    target = functional.log_softmax(teacher.float() / temperature, dim=1)
    given = functional.log_softmax(student.float() / temperature, dim=1)
    divergence = (target.exp() * (target - given)).sum(dim=1)
    return divergence.mean() * temperature**2


def class_weights(phase: Phase, split: Split) -> Tensor | None:
    """The recipe's class weights, float32 (classes,), or None for none.

    Shares are those of the labelled pixels (or samples) of the split. Computed weights have a mean of 1 over pixels
    (the shares times the weights sum to 1); a class that never occurs gets 1.

    Raises:
        UsageError: `positive_weights` are given; a list of another length than there are classes.
    """
    if phase.positive_weights != "none":
        raise UsageError("positive_weights are of independent labels; these classes exclude each other: class_weights")
    if phase.class_weights == "none":
        return None
    if not isinstance(phase.class_weights, str):
        if len(phase.class_weights) != len(split.classes):
            raise UsageError(f"class_weights has {len(phase.class_weights)} numbers for {len(split.classes)} classes")
        return torch.tensor(phase.class_weights, dtype=torch.float32)
    shares = _shares(split)
    occurs = shares > 0
    weights = np.ones_like(shares)
    if phase.class_weights == "median_frequency":
        weights[occurs] = np.median(shares[occurs]) / shares[occurs]
    elif phase.class_weights == "sqrt_frequency":
        weights[occurs] = np.sqrt(np.median(shares[occurs]) / shares[occurs])
    else:
        weights[occurs] = 1.0 / np.log(1.02 + shares[occurs])
    weights[occurs] /= (weights * shares)[occurs].sum()
    return torch.tensor(weights, dtype=torch.float32)


def _shares(split: Split) -> NDArray[np.float64]:
    if split.has_masks:
        return class_shares(split)
    counts = np.bincount([split.label(index) for index in range(len(split))], minlength=len(split.classes))
    return np.asarray(counts / counts.sum())


class LabelLoss(Protocol):
    """A loss on labels; see `label_loss`."""

    def __call__(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        weights: Tensor | None = None,
        label_smoothing: float = 0.0,
        stride: int = 1,
    ) -> Tensor:
        """The loss of a batch, a scalar."""
        ...


@dataclass(frozen=True, kw_only=True)
class Losses:
    """What a network is trained by: its labels, a teacher, and the weights of the labels that a phase asks for."""

    label: LabelLoss
    distillation: Callable[[Tensor, Tensor, float], Tensor]
    weights: Callable[[Phase, Split], Tensor | None]


LOSSES: Mapping[Scores, Losses] = {
    "exclusive": Losses(label=label_loss, distillation=distillation_loss, weights=class_weights),
    "independent": Losses(label=binary_label_loss, distillation=binary_distillation_loss, weights=positive_weights),
}
