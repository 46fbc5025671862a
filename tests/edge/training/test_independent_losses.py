"""The losses of independent labels equal their formulas, and what is unknown has no part in them."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from edge.data.splits import UNKNOWN, Sample, Split
from edge.errors import UsageError
from edge.recipe.recipe import Phase
from edge.training.independent_losses import binary_distillation_loss, binary_label_loss, positive_weights
from edge.training.losses import LOSSES

TARGET = torch.tensor([[1, 0, UNKNOWN], [0, UNKNOWN, UNKNOWN]])


def split_of(truths: list[tuple[int, ...]]) -> Split:
    pixels = np.zeros((2, 2, 3), np.uint8)
    samples = tuple(Sample(name=str(k), image=pixels.copy, target=truth) for k, truth in enumerate(truths))
    return Split(samples=samples, task="classify", classes=("a", "b", "c"), scores="independent", origin="drawn")


def phase(**keys: object) -> Phase:
    return Phase(epochs=1, batch_size=1, learning_rate=0.1, **keys)  # type: ignore[arg-type]


def test_label_loss_is_binary_cross_entropy_over_the_known_labels() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    loss = binary_label_loss(logits, TARGET)
    known, wanted = logits[[0, 0, 1], [0, 1, 0]], torch.tensor([1.0, 0.0, 0.0])
    assert loss.item() == pytest.approx(functional.binary_cross_entropy_with_logits(known, wanted).item(), rel=1e-6)
    loss.backward()
    assert logits.grad is not None and logits.grad[TARGET == UNKNOWN].tolist() == [0.0, 0.0, 0.0]
    assert binary_label_loss(torch.randn(1, 2), torch.full((1, 2), UNKNOWN)).item() == 0.0


def test_weights_are_of_what_holds_and_smoothing_spreads_over_yes_and_no() -> None:
    zeros = torch.zeros(2, 3)
    weighted = binary_label_loss(zeros, TARGET, weights=torch.tensor([4.0, 9.0, 9.0])).item()
    assert weighted == pytest.approx(math.log(2) * (4 + 1 + 1) / 3)
    logit = math.log(0.95 / 0.05)  # the answer that a smoothing of 0.1 asks for
    at, beyond = (binary_label_loss(torch.full((1, 1), x), torch.ones(1, 1), label_smoothing=0.1) for x in (logit, 9.0))
    assert at.item() == pytest.approx(-(0.95 * math.log(0.95) + 0.05 * math.log(0.05)), rel=1e-5) and at < beyond


def test_distillation_is_the_divergence_of_every_yes_and_no() -> None:
    student, teacher = torch.randn(4, 3), torch.randn(4, 3)
    p, q = torch.sigmoid(teacher / 2), torch.sigmoid(student / 2)
    expected = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean() * 4
    assert binary_distillation_loss(student, teacher, 2.0).item() == pytest.approx(expected.item(), rel=1e-5)
    assert binary_distillation_loss(teacher, teacher, 1.0).item() == 0.0
    assert torch.isfinite(binary_distillation_loss(torch.full((1, 1), -200.0), torch.full((1, 1), 200.0), 1.0))


def test_positive_weights_are_negatives_over_positives() -> None:
    split = split_of([(1, 0, 0), (0, 0, 0), (0, UNKNOWN, 0), (0, 1, 0), (0, 0, 0)])
    found = positive_weights(phase(positive_weights="frequency"), split)
    assert found is not None and found.tolist() == [4.0, 3.0, 1.0]
    roots = positive_weights(phase(positive_weights="sqrt_frequency"), split)
    assert roots is not None and roots.tolist() == pytest.approx([2.0, math.sqrt(3), 1.0])
    listed = positive_weights(phase(positive_weights=(1.0, 2.0, 3.0)), split)
    assert listed is not None and listed.tolist() == [1.0, 2.0, 3.0]
    assert positive_weights(phase(), split) is None


def test_weights_that_do_not_fit_the_meaning_of_the_scores_are_refused() -> None:
    split = split_of([(1, 0, 1)])
    with pytest.raises(UsageError, match="2 numbers for 3 labels"):
        positive_weights(phase(positive_weights=(1.0, 2.0)), split)
    with pytest.raises(UsageError, match="class_weights are of classes that exclude each other"):
        LOSSES["independent"].weights(phase(class_weights="median_frequency"), split)
    with pytest.raises(UsageError, match="positive_weights are of independent labels"):
        LOSSES["exclusive"].weights(phase(positive_weights="frequency"), split)


def test_a_label_that_is_never_known_is_refused() -> None:
    with pytest.raises(UsageError, match="drawn: label 'b' is unknown in every image"):
        positive_weights(phase(), split_of([(1, UNKNOWN, 0), (0, UNKNOWN, 1)]))
