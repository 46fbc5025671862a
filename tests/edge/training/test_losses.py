"""Losses equal their formulas."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional

from edge.data.splits import Sample, Split
from edge.errors import UsageError
from edge.recipe.recipe import Phase
from edge.training.losses import NO_CLASS, auxiliary_loss, class_weights, distillation_loss, label_loss


def test_label_loss_is_cross_entropy() -> None:
    logits, target = torch.randn(5, 4), torch.tensor([0, 3, 1, 1, 2])
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0])
    assert label_loss(logits, target) == pytest.approx(float(functional.cross_entropy(logits, target)))
    expected = functional.cross_entropy(logits, target, weight=weights, label_smoothing=0.1)
    found = label_loss(logits, target, weights=weights, label_smoothing=0.1)
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_uniform_logits_cost_the_logarithm_of_the_classes() -> None:
    target = torch.randint(0, 7, (2, 8, 8))
    assert float(label_loss(torch.zeros(2, 7, 1, 1), target)) == pytest.approx(math.log(7), rel=1e-6)


def test_unlabelled_pixels_do_not_count() -> None:
    logits = torch.randn(1, 3, 4, 4)
    target = torch.full((1, 4, 4), NO_CLASS)
    assert float(label_loss(logits, target)) == 0.0
    target[0, 1, 2] = 2
    expected = functional.cross_entropy(logits[:, :, 1, 2], torch.tensor([2]))
    weights = torch.tensor([1.0, 1.0, 5.0])
    assert float(label_loss(logits, target, weights=weights)) == pytest.approx(float(expected), rel=1e-6)


def test_stride_samples_the_mask_and_resizes_the_logits() -> None:
    logits = torch.randn(2, 3, 4, 5)
    target = torch.randint(0, 3, (2, 8, 10))
    expected = functional.cross_entropy(logits, target[:, 1::2, 1::2])
    assert float(label_loss(logits, target, stride=2)) == pytest.approx(float(expected), rel=1e-6)
    odd = torch.randint(0, 3, (1, 9, 11))
    assert torch.isfinite(label_loss(logits[:1], odd, stride=4))


def test_auxiliary_heads_add_their_share() -> None:
    target = torch.randint(0, 3, (2, 8, 8))
    main, first, second = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4), torch.randn(2, 3, 1, 1)
    found = auxiliary_loss((main, first, second), target, weight=0.4, stride=1, auxiliary_stride=2)
    expected = label_loss(main, target) + 0.4 * sum(label_loss(one, target, stride=2) for one in (first, second))
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_distillation_is_zero_between_equals_and_positive_otherwise() -> None:
    teacher = torch.randn(3, 5, 2, 2)
    assert float(distillation_loss(teacher, teacher, 2.0)) == pytest.approx(0.0, abs=1e-6)
    assert float(distillation_loss(torch.randn(3, 5, 2, 2), teacher, 2.0)) > 0


def test_distillation_is_the_divergence_times_the_temperature_squared() -> None:
    student, teacher = torch.randn(6, 4), torch.randn(6, 4)
    log_student, log_teacher = (functional.log_softmax(logits / 3, dim=1) for logits in (student, teacher))
    expected = functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True) * 9
    assert float(distillation_loss(student, teacher, 3.0)) == pytest.approx(float(expected), rel=1e-5)


def _masks(*masks: np.ndarray) -> Split:
    def sample(index: int, mask: np.ndarray) -> Sample:
        return Sample(name=str(index), image=lambda: np.zeros((*mask.shape, 3), np.uint8), target=lambda: mask)

    samples = tuple(sample(index, mask) for index, mask in enumerate(masks))
    return Split(samples=samples, task="segment", classes=("a", "b", "c"), ignore_index=9)


def _phase(weights: object) -> Phase:
    values = {"epochs": 1, "batch_size": 1, "learning_rate": 1.0, "class_weights": weights}
    return Phase.model_validate(values)


def test_class_weights_follow_from_the_shares() -> None:
    mask = np.zeros((10, 10), np.uint8)
    mask[:2] = 1  # shares of labelled pixels: 0.64, 0.25, 0; ignored 20
    mask[8:] = 9
    split = _masks(mask)
    shares = np.array([0.75, 0.25])
    formulas: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "median_frequency": lambda share: np.median(share) / share,
        "sqrt_frequency": lambda share: np.sqrt(np.median(share) / share),
        "log_frequency": lambda share: 1 / np.log(1.02 + share),
    }
    for name, formula in formulas.items():
        expected = formula(shares)
        expected /= (expected * shares).sum()
        found = class_weights(_phase(name), split)
        assert found is not None
        assert found.numpy() == pytest.approx([*expected, 1.0], rel=1e-6)


def test_listed_class_weights_must_fit_the_classes() -> None:
    split = _masks(np.zeros((2, 2), np.uint8))
    assert class_weights(_phase("none"), split) is None
    listed = class_weights(_phase((1.0, 2.0, 3.0)), split)
    assert listed is not None
    assert listed.tolist() == [1, 2, 3]
    with pytest.raises(UsageError, match="2 numbers for 3 classes"):
        class_weights(_phase((1.0, 2.0)), split)
