"""Outputs become answers: scores by their order."""

import numpy as np
import pytest

from edge.errors import UsageError
from edge.port import DescribedPort
from edge.vision.postprocess import class_scores, ranked_values, softmax

NAMES = ("a", "b", "c", "d")


def info(meaning: str, *, scores: str = "exclusive", layout: str = "nc", **quantized: float) -> DescribedPort:
    told = {"meaning": meaning, "scores": scores, "layout": layout, **quantized}
    return DescribedPort(name="output", shape=(), dtype="float32", **told)  # type: ignore[arg-type]


def test_softmax_of_equal_logits_is_uniform_and_large_logits_do_not_overflow() -> None:
    assert np.allclose(softmax(np.zeros(4, dtype=np.float32)), 0.25)
    assert np.allclose(softmax(np.array([1e4, 1e4, 0], dtype=np.float32)), [0.5, 0.5, 0])


def test_integer_logits_are_dequantized_then_softmaxed() -> None:
    raw = np.array([[-128, 20, 10, -128]], dtype=np.int8)
    found = class_scores(raw, info("logits", scale=0.1, zero_point=3), NAMES, top=2)
    assert (found.indices, found.names) == ((1, 2), ("b", "c"))
    assert found.probabilities[0] / found.probabilities[1] == pytest.approx(np.e, rel=1e-5)


def test_probabilities_are_kept_and_ties_go_to_the_lower_index() -> None:
    found = class_scores(
        np.array([128, 0, 128, 0], dtype=np.uint8), info("probabilities", scale=1 / 256, zero_point=0), NAMES
    )
    assert found.indices == (0, 2, 1, 3)
    assert found.probabilities == (0.5, 0.5, 0.0, 0.0)


def test_number_of_names_must_fit() -> None:
    with pytest.raises(UsageError, match="5 scores and there are 4 class names"):
        class_scores(np.zeros(5), info("logits"), NAMES)


# What an int8 Sigmoid gives (scale 1/256, zero point -128), its uint8 twin, and float: the same three probabilities.
YES_NO = (
    (np.int8, {"scale": 1 / 256, "zero_point": -128}, (-1, 0, 100)),
    (np.uint8, {"scale": 1 / 256, "zero_point": 0}, (127, 128, 228)),
    (np.float32, {}, (127 / 256, 0.5, 228 / 256)),
)


@pytest.mark.parametrize(("dtype", "quantized", "values"), YES_NO)
def test_one_score_is_yes_from_a_probability_of_one_half_on(
    dtype: type, quantized: dict[str, float], values: tuple[float, ...]
) -> None:
    told = info("probabilities", scores="independent", **quantized)
    found = [class_scores(np.array([[value]], dtype), told, ("no", "yes")) for value in values]
    assert [one.names[0] for one in found] == ["no", "yes", "yes"]
    assert [one.probabilities[one.names.index("yes")] for one in found] == [127 / 256, 0.5, 228 / 256]
    assert [int(ranked_values(np.array([[value]], dtype), told).argmax()) for value in values] == [0, 1, 1]


def test_one_logit_is_yes_from_zero_on() -> None:
    told = info("logits", scores="independent", scale=0.125, zero_point=7)
    found = [class_scores(np.array([[value]], np.int8), told, ("no", "yes")) for value in (6, 7, 127)]
    assert [one.names[0] for one in found] == ["no", "yes", "yes"]
    assert found[1].probabilities == (0.5, 0.5)
    assert found[2].probabilities[0] == pytest.approx(1 / (1 + np.exp(-15)))


@pytest.mark.parametrize("meaning", ["logits", "probabilities"])
def test_independent_labels_hold_one_by_one(meaning: str) -> None:
    at_half = 0.0 if meaning == "logits" else 0.5
    told = info(meaning, scores="independent")
    raw = np.array([[at_half, np.nextafter(np.float32(at_half), np.float32(-1)), 0.9, 0.7]], np.float32)
    found = class_scores(raw, told, NAMES, top=1)
    assert (found.names, found.decided) == (("c", "d", "a"), 3)  # more than asked for: all that hold
    assert found.probabilities[2] == 0.5
    assert (ranked_values(raw, told) >= 0).tolist() == [True, False, True, True]
    none = class_scores(raw - 2, told, NAMES, top=1)
    assert (none.names, none.decided) == (("c",), 0)
