"""A linear probe is the ridge regression it says it is, and a pretrained classifier's rows tell it of unseen kinds."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.errors import EdgeError
from edge.training.linear_probe import Pretrained, cross_entropy, fit_probe

Array = NDArray[np.float64]


@pytest.mark.parametrize(("images", "features"), [(12, 30), (60, 7)])
def test_the_head_is_the_closed_form_ridge_but_for_one_scale(images: int, features: int) -> None:
    """Its gradient is zero: X' D (X h - y) + ridge h = 0 with features centred, scaled, and a constant added."""
    random = np.random.default_rng(0)
    x, labels = random.normal(size=(images, features)), np.arange(images) % 3 % 2  # twice as many of class 0
    probe = fit_probe(x, list(labels), 2, ridges=(0.1,))
    centred = x - x.mean(axis=0)
    inputs = np.hstack([centred / np.sqrt((centred**2).sum(axis=1).mean()), np.ones((images, 1))])
    weights = 1 / np.sqrt(np.bincount(labels)[labels])
    weights = (weights / weights.mean())[:, None]
    targets = np.eye(2)[labels]
    exact = np.linalg.solve(inputs.T @ (weights * inputs) + 0.1 * np.eye(features + 1), inputs.T @ (weights * targets))
    logits, expected = x @ probe.weight.T + probe.bias, inputs @ exact
    scale = float((logits * expected).sum() / (expected**2).sum())
    assert scale > 0
    np.testing.assert_allclose(logits, scale * expected, rtol=1e-9, atol=1e-9)


def test_rows_of_the_pretrained_classifier_tell_of_kinds_that_no_image_shows() -> None:
    """60 kinds of 3 sorts, the kinds of a sort resemble each other; one image each of 9 kinds, then the other 51."""
    random = np.random.default_rng(6)
    sorts = np.arange(60) % 3
    kinds = random.normal(size=(3, 64))[sorts] + 2 * random.normal(size=(60, 64))
    kinds /= np.linalg.norm(kinds, axis=1, keepdims=True)
    images = kinds + 0.05 * random.normal(size=kinds.shape)

    def accuracy(told: Pretrained | None) -> float:
        probe = fit_probe(images[:9], list(sorts[:9]), 3, pretrained=told)
        return float(((images[9:] @ probe.weight.T + probe.bias).argmax(axis=1) == sorts[9:]).mean())

    assert accuracy(Pretrained(weight=20 * kinds, bias=np.zeros(60))) >= 0.98 > 0.93 > accuracy(None)


def test_the_scale_makes_the_probabilities_honest() -> None:
    """Where labels are noise the logits are flat; where they are clear, steep."""
    random = np.random.default_rng(2)
    x = random.normal(size=(80, 5))
    noise = fit_probe(x, list(random.integers(0, 2, 80)), 2)
    truth = (x[:, 0] > 0).astype(np.int64)
    clear = fit_probe(x, list(truth), 2)
    assert clear.accuracy > 0.85 > 0.7 > noise.accuracy
    assert cross_entropy(x @ clear.weight.T + clear.bias, truth) < 0.3
    assert np.abs(x @ noise.weight.T + noise.bias).max() < np.abs(x @ clear.weight.T + clear.bias).max() / 3


def test_a_class_without_images_is_taken() -> None:
    x = np.random.default_rng(3).normal(size=(5, 4))
    probe = fit_probe(x, [0, 0, 0, 0, 2], 4)
    assert probe.weight.shape == (4, 4)
    assert np.isfinite(probe.weight).all() and np.isfinite(probe.bias).all()


def test_features_that_are_all_the_same_are_refused() -> None:
    """The features of a network that died differ by rounding alone; a head on them would be noise times a million."""
    x = 3.0 + 1e-8 * np.random.default_rng(4).normal(size=(6, 5))
    with pytest.raises(EdgeError, match="features of all 6 images are the same"):
        fit_probe(x, [0, 1, 0, 1, 0, 1], 2)
