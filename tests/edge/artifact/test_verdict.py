"""Ship or do not ship."""

from edge.artifact.verdict import NO_PARENT, Finding, accuracy_finding, agreement_finding, size_finding, verdict

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


def test_accuracy_keeps_its_share_of_the_parents_and_the_bound_itself_passes() -> None:
    """0.693 of 0.70 is 99 %; the ratio is in the data."""
    at_bound = accuracy_finding("model.tflite", "top1", 0.693, 0.70, 0.98, floor=0.99)
    below = accuracy_finding("model.tflite", "top1", 0.6929, 0.70, 0.98, floor=0.99)
    assert at_bound.passed is True
    assert below.passed is False
    assert below.data["parent_ratio"] == 0.6929 / 0.70
    assert "98.99% of the parent's kept, at least 99.00% asked" in below.detail


def test_one_image_less_where_one_is_more_than_the_default_allows_is_no_fault() -> None:
    """Of 7 images one is 14 points; two of them, or a floor that somebody asked for, are judged."""
    one = accuracy_finding("m", "top1", 6 / 7, 1.0, 6 / 7, floor=0.99, images=7)
    assert one.passed is None
    assert (
        "one image less of 7, too few to judge whether 99.00% of the parent's is kept: give 100 or more" in one.detail
    )
    assert verdict([GOOD, one]).sentence == "ship (accuracy not judged: 7 images are too few)"
    assert accuracy_finding("m", "top1", 5 / 7, 1.0, 5 / 7, floor=0.99, images=7).passed is False
    assert accuracy_finding("m", "top1", 6 / 7, 1.0, 6 / 7, floor=0.99).passed is False
    assert accuracy_finding("m", "top1", 0.99, 1.0, None, floor=0.99, images=100).passed is True


def test_an_accuracy_that_is_no_number_does_not_pass() -> None:
    """No class in truth or answer."""
    assert accuracy_finding("model.tflite", "miou", float("nan"), 0.5, None, floor=0.0).passed is False


def test_a_parent_that_is_always_wrong_is_no_fault() -> None:
    """Nothing can be lost, and there is no ratio."""
    found = accuracy_finding("model.tflite", "top1", 0.0, 0.0, None, floor=1.0)
    assert found.passed is True and found.data["parent_ratio"] is None


def test_agreement_and_size_are_held_against_their_bounds() -> None:
    """The bounds themselves pass."""
    assert agreement_finding("model.tflite", 0.97, 0.97, "images").passed is True
    assert agreement_finding("model.tflite", 0.9699, 0.97, "images").passed is False
    assert size_finding("model.tflite", 4_000_000, 4_000_000).passed is True
    below = size_finding("model.tflite", 4_000_001, 4_000_000)
    assert below.passed is False and "4,000,001 bytes" in below.detail


def test_accuracy_without_a_parent_decides_nothing() -> None:
    """It is a fact."""
    assert accuracy_finding("model.tflite", "top1", 0.7, None, None, floor=0.99).passed is None


def test_what_was_not_judged_is_told_with_the_reason() -> None:
    """Of accuracy, latency and size; a fact that decides nothing is no judgement."""
    assert verdict([GOOD]).not_judged == {
        "accuracy": "no labelled images were given",
        "latency": "no --latency-budget was given",
        "size": "no --size-budget was given",
    }
    disturbed = Finding(check="latency", subject="this machine", passed=None, detail="not judged: emulated")
    kept = accuracy_finding("model.tflite", "top1", 0.7, 0.7, None, floor=0.99)
    found = verdict([GOOD, kept, disturbed, size_finding("model.tflite", 3, 2)])
    assert found.not_judged == {"latency": "no measurement that counts"}


def test_the_sentence_says_why_accuracy_was_not_judged() -> None:
    """No labels, or labels and no float parent."""
    good = Finding(check="end to end", subject="model.tflite", passed=True, detail="0 values differ")
    assert "no labelled images were given" in verdict([good]).sentence
    alone = Finding(check="accuracy", subject=NO_PARENT, passed=None, detail="no float parent at hand")
    assert verdict([good, alone]).sentence == "ship (accuracy not judged: there is no float parent to compare with)"
