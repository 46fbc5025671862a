"""Ship or do not ship."""

from edge.evaluation.verdict import Finding, accuracy_finding, verdict

GOOD = Finding(check="end to end", subject="model.tflite", passed=True, detail="0 differ")
BAD = Finding(check="operators", subject="model.onnx", passed=False, detail="worst Resize 'up': 3 quanta")
FACT = Finding(check="accuracy", subject="simulation", passed=None, detail="top1 90 %")


def test_one_fault_stands_against_shipping_and_is_named() -> None:
    """The sentence names check, subject and operator."""
    assert verdict([GOOD, FACT]).ship
    found = verdict([GOOD, BAD, FACT])
    assert not found.ship
    assert found.sentence == "do not ship: operators: model.onnx: worst Resize 'up': 3 quanta"
    assert verdict([BAD, BAD]).sentence.endswith("(and 1 more)")


def test_nothing_checked_does_not_ship() -> None:
    """Facts alone prove nothing."""
    assert not verdict([FACT]).ship
    assert "nothing" in verdict([FACT]).sentence


def test_accuracy_may_drop_by_what_is_allowed_and_no_more() -> None:
    """The bound itself is allowed."""
    at_bound = accuracy_finding("model.tflite", "top1", 0.70, 0.71, 0.98, allowed_drop=0.01)
    below = accuracy_finding("model.tflite", "top1", 0.699, 0.71, 0.98, allowed_drop=0.01)
    assert at_bound.passed is True
    assert below.passed is False
    assert "1.10 points lost" in below.detail


def test_accuracy_without_a_parent_decides_nothing() -> None:
    """It is a fact."""
    assert accuracy_finding("model.tflite", "top1", 0.7, None, None, allowed_drop=0.01).passed is None
