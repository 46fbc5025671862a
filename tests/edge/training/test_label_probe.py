"""A linear probe of independent labels ranks and decides what features tell apart, and says what it cannot know."""

import numpy as np
import pytest

from edge.data.splits import UNKNOWN
from edge.errors import EdgeError
from edge.training.label_probe import fit_label_probe

RANDOM = np.random.default_rng(3)
FEATURES = RANDOM.normal(size=(120, 40))
TRUTH = (FEATURES[:, :3] @ np.array([[1, 0, 0], [0, 1, 0], [0, 0, -1.0]]) > [0, 0.8, 0]).astype(np.int8)


def test_labels_that_the_features_show_are_found_on_other_images() -> None:
    probe = fit_label_probe(FEATURES[:80], TRUTH[:80])
    logits = FEATURES[80:] @ probe.weight.T + probe.bias
    assert ((logits >= 0) == (TRUTH[80:] == 1)).mean() > 0.85
    assert probe.mean_average_precision > 0.7


def test_a_label_by_chance_gets_its_share_as_probability() -> None:
    rare = (RANDOM.random((120, 1)) < 0.15).astype(np.int8)
    probe = fit_label_probe(FEATURES, np.hstack([TRUTH, rare]))
    likely = 1 / (1 + np.exp(-(FEATURES @ probe.weight.T + probe.bias)[:, 3]))
    assert abs(float(likely.mean()) - float(rare.mean())) < 0.06


def test_what_is_unknown_teaches_nothing() -> None:
    truth = TRUTH.copy()
    truth[::4] = UNKNOWN
    lies = TRUTH.copy()
    lies[::4] = 1 - lies[::4]
    rest = np.arange(120) % 4 != 0

    def right(found: np.ndarray) -> float:
        probe = fit_label_probe(FEATURES, found)
        return float((((FEATURES @ probe.weight.T + probe.bias) >= 0) == (TRUTH == 1))[rest].mean())

    assert right(truth) > 0.9 and right(truth) > right(lies)


def test_a_label_that_never_holds_is_never_found() -> None:
    probe = fit_label_probe(FEATURES, np.hstack([TRUTH, np.zeros((120, 1), np.int8)]))
    assert ((FEATURES @ probe.weight.T + probe.bias)[:, 3] < 0).all()


def test_equal_features_are_refused() -> None:
    with pytest.raises(EdgeError, match="nothing to go by"):
        fit_label_probe(np.ones((10, 4)), np.ones((10, 2), np.int8))
