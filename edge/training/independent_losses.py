"""Losses of labels that are independent of each other: one yes-or-no question each, asked only where it is known."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from edge.data.splits import UNKNOWN, Split
from edge.errors import UsageError
from edge.recipe.recipe import Phase


def binary_label_loss(
    logits: Tensor,
    target: Tensor,
    *,
    weights: Tensor | None = None,
    label_smoothing: float = 0.0,
    stride: int = 1,
) -> Tensor:
    """Binary cross entropy of the logits' sigmoid, averaged over the known labels of all samples.

    Args:
        logits: float (n, labels).
        target: int64 (n, labels): 1, 0 or UNKNOWN. A batch in which nothing is known has loss 0.
        weights: float (labels,), of the term of a label that holds.
        label_smoothing: share spread over yes and no: the targets are s / 2 and 1 - s / 2.
        stride: of masks, nothing here.
    """
    known = (target != UNKNOWN).float()
    wanted = (target == 1).float() * (1 - label_smoothing) + label_smoothing / 2
    losses = functional.binary_cross_entropy_with_logits(logits.float(), wanted, pos_weight=weights, reduction="none")
    return (losses * known).sum() / known.sum().clamp(min=1.0)


def binary_distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 * KL(teacher / T || student / T) of every label's yes and no, averaged over samples and labels.

    Args:
        student, teacher: logits, float (n, labels).
    """
    told, given = teacher.float() / temperature, student.float() / temperature
    yes = torch.sigmoid(told) * (functional.logsigmoid(told) - functional.logsigmoid(given))
    no = torch.sigmoid(-told) * (functional.logsigmoid(-told) - functional.logsigmoid(-given))
    return (yes + no).mean() * temperature**2


def positive_weights(phase: Phase, split: Split) -> Tensor | None:
    """The recipe's weights of labels that hold, float32 (labels,), or None for none.

    `frequency` is negatives / positives among the known, `sqrt_frequency` its square root; a label of which one of the
    two does not occur gets 1.

    Raises:
        UsageError: `class_weights` are given; a list of another length than there are labels; a label that is unknown
            in every image.
    """
    if phase.class_weights != "none":
        raise UsageError(
            "class_weights are of classes that exclude each other; of independent labels: positive_weights"
        )
    truth = np.stack([split.truth(index) for index in range(len(split))])
    positives, negatives = (truth == 1).sum(axis=0), (truth == 0).sum(axis=0)
    if not (positives + negatives).all():
        name = split.classes[int(np.argmin(positives + negatives))]
        raise UsageError(f"{split.origin}: label '{name}' is unknown in every image: nothing to learn it from")
    if phase.positive_weights == "none":
        return None
    if not isinstance(phase.positive_weights, str):
        if len(phase.positive_weights) != len(split.classes):
            raise UsageError(
                f"positive_weights has {len(phase.positive_weights)} numbers for {len(split.classes)} labels"
            )
        return torch.tensor(phase.positive_weights, dtype=torch.float32)
    both = (positives > 0) & (negatives > 0)
    weights = np.where(both, negatives / np.maximum(positives, 1), 1.0)
    return torch.tensor(weights if phase.positive_weights == "frequency" else np.sqrt(weights), dtype=torch.float32)
