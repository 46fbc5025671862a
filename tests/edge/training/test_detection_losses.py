"""The detection loss against its formulas in plain numbers."""

import math

import pytest
import torch

from edge.errors import UsageError
from edge.training.box_matching import IGNORED, BoxTargets
from edge.training.detection_losses import (
    code_loss,
    detection_distillation_loss,
    detection_loss,
    focal_loss,
    hard_negative_loss,
    softmax_hard_negative_loss,
)

ANCHORS, COLUMNS = 40, 4


def batch(seed: int, positives: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor, BoxTargets]:
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randn(len(positives), ANCHORS, 4, generator=generator) * 2
    logits = torch.randn(len(positives), ANCHORS, COLUMNS, generator=generator) * 3
    columns = torch.zeros(len(positives), ANCHORS, dtype=torch.int64)
    for image, count in enumerate(positives):
        rows = torch.randperm(ANCHORS, generator=generator)[:count]
        columns[image, rows] = torch.randint(1, COLUMNS, (count,), generator=generator)
    wanted = torch.randn(codes.shape, generator=generator) * (columns > 0)[:, :, None]
    return codes, logits, BoxTargets(codes=wanted, columns=columns)


def cross_entropies(logits: list[float], column: int) -> list[float]:
    return [math.log1p(math.exp(-value if index == column else value)) for index, value in enumerate(logits)]


def test_codes_count_where_there_is_a_box() -> None:
    codes, _, targets = batch(0, (3, 5, 0))
    expected = 0.0
    for image in range(3):
        for anchor in range(ANCHORS):
            if targets.columns[image, anchor] == 0:
                continue
            for place in range(4):
                apart = abs(float(codes[image, anchor, place] - targets.codes[image, anchor, place]))
                expected += 0.5 * apart**2 if apart < 1 else apart - 0.5
    assert float(code_loss(codes, targets)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("positives", [(3, 5), (0, 2), (0, 0), (30, 40)])
def test_the_hardest_three_for_each_box_count(positives: tuple[int, ...]) -> None:
    """Of an image without a box the three hardest; of one with more boxes than a quarter of the anchors all others."""
    _, logits, targets = batch(1, positives)
    expected = 0.0
    for image, count in enumerate(positives):
        others = []
        for anchor in range(ANCHORS):
            column = int(targets.columns[image, anchor])
            loss = sum(cross_entropies(logits[image, anchor].tolist(), column))
            if column:
                expected += loss
            else:
                others.append(loss)
        expected += sum(sorted(others, reverse=True)[: max(3 * count, 3)])
    assert float(hard_negative_loss(logits, targets.columns)) == pytest.approx(expected, rel=1e-5)


def test_focal_loss_is_equation_5() -> None:
    _, logits, targets = batch(2, (3, 0))
    expected = 0.0
    for image in range(2):
        for anchor in range(ANCHORS):
            for place, value in enumerate(logits[image, anchor].tolist()):
                holds = place == int(targets.columns[image, anchor])
                given = 1 / (1 + math.exp(-value if holds else value))
                expected -= (0.25 if holds else 0.75) * (1 - given) ** 2 * math.log(given)
    assert float(focal_loss(logits, targets.columns)) == pytest.approx(expected, rel=1e-5)


def test_exclusive_scores_are_a_softmax_over_all_columns() -> None:
    _, logits, targets = batch(8, (3, 0))
    expected = 0.0
    for image, count in enumerate((3, 0)):
        others = []
        for anchor in range(ANCHORS):
            values, column = logits[image, anchor].tolist(), int(targets.columns[image, anchor])
            loss = math.log(sum(map(math.exp, values))) - values[column]
            if column:
                expected += loss
            else:
                others.append(loss)
        expected += sum(sorted(others, reverse=True)[: max(3 * count, 3)])
    assert float(softmax_hard_negative_loss(logits, targets.columns)) == pytest.approx(expected, rel=1e-5)
    nothing = torch.zeros_like(targets.codes)
    whole = detection_loss(nothing, logits, targets, "hard_negatives", meaning="exclusive")
    assert float(whole) == pytest.approx((float(code_loss(nothing, targets)) + expected) / 3, rel=1e-5)


def test_a_teacher_of_exclusive_scores_is_followed_by_their_softmax() -> None:
    codes, logits, _ = batch(7, (2, 0))
    student = logits * 0.5
    expected, likely = 0.0, 0.0
    for given, told in zip(student.flatten(0, 1).tolist(), logits.flatten(0, 1).tolist(), strict=True):
        p = [math.exp(value) / sum(map(math.exp, told)) for value in told]
        q = [math.exp(value) / sum(map(math.exp, given)) for value in given]
        expected += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
        likely += max(p[1:])
    found = detection_distillation_loss((codes, student), (codes, logits), 1.0, meaning="exclusive")
    assert float(found) == pytest.approx(expected / likely, rel=1e-4)


def test_equal_negatives_are_chosen_by_count_alone() -> None:
    logits = torch.zeros(1, ANCHORS, COLUMNS)
    columns = torch.zeros(1, ANCHORS, dtype=torch.int64)
    columns[0, 4] = 2
    assert float(hard_negative_loss(logits, columns)) == pytest.approx(4 * COLUMNS * math.log(2))


@pytest.mark.parametrize("scores", ["hard_negatives", "focal"])
def test_the_whole_is_per_box_and_falls(scores: str) -> None:
    codes, logits, targets = batch(3, (3, 5))
    codes.requires_grad_(True)
    logits.requires_grad_(True)
    parts = {"hard_negatives": hard_negative_loss, "focal": focal_loss}
    first = detection_loss(codes, logits, targets, scores, weight=2.0)
    expected = (2 * code_loss(codes, targets) + parts[scores](logits, targets.columns)) / 8
    assert float(first.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    optimizer = torch.optim.Adam([codes, logits], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        loss = detection_loss(codes, logits, targets, scores)
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.2 * float(first.detach())
    assert (logits.argmax(dim=2) == targets.columns)[targets.columns > 0].all()


def test_a_batch_without_a_box_has_a_finite_loss_and_gradients() -> None:
    codes, logits, targets = batch(4, (0, 0))
    codes.requires_grad_(True)
    logits.requires_grad_(True)
    for scores in ("hard_negatives", "focal"):
        loss = detection_loss(codes, logits, targets, scores)
        loss.backward()
        assert torch.isfinite(loss) and torch.isfinite(logits.grad).all() and not codes.grad.any()


@pytest.mark.parametrize("scores", ["hard_negatives", "focal"])
def test_ignored_anchors_have_no_part_in_either_loss(scores: str) -> None:
    codes, logits, targets = batch(6, (3, 5))
    targets.columns[targets.columns == 0] = torch.where(
        torch.arange(int((targets.columns == 0).sum())) % 4 == 0, IGNORED, 0
    )
    lost = targets.columns == IGNORED
    logits.requires_grad_(True)
    before = detection_loss(codes, logits, targets, scores)
    before.backward()
    assert lost.any() and not logits.grad[lost].any()
    changed = torch.where(lost[:, :, None], logits.detach() + 50, logits.detach())
    assert float(detection_loss(codes, changed, targets, scores)) == pytest.approx(float(before.detach()), rel=1e-6)


def test_a_teacher_is_followed_where_it_sees_something() -> None:
    """0 at the teacher itself; codes count by the teacher's probability; the divergence is each logit's yes and no."""
    codes, logits, _ = batch(7, (2, 0))
    assert float(detection_distillation_loss((codes, logits), (codes, logits), 2.0)) == pytest.approx(0, abs=1e-5)
    moved = codes + 3.0
    likely = torch.sigmoid(logits[:, :, 1:]).amax(dim=2)
    found = float(detection_distillation_loss((moved, logits), (codes, logits), 1.0))
    assert found == pytest.approx(4 * 2.5, rel=1e-5)  # |3| - 0.5 of each of four numbers, at every anchor alike
    student = logits * 0.5
    expected = 0.0
    for given, told in zip(student.flatten().tolist(), logits.flatten().tolist(), strict=True):
        p, q = 1 / (1 + math.exp(-told)), 1 / (1 + math.exp(-given))
        expected += p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    found = float(detection_distillation_loss((codes, student), (codes, logits), 1.0))
    assert found == pytest.approx(expected / float(likely.sum()), rel=1e-3)


def test_what_does_not_fit_is_refused() -> None:
    codes, logits, targets = batch(5, (2,))
    with pytest.raises(UsageError, match="unknown loss of scores 'focl'; did you mean 'focal'"):
        detection_loss(codes, logits, targets, "focl")
    with pytest.raises(UsageError, match='score_loss = "focal" is of independent scores, not exclusive ones'):
        detection_loss(codes, logits, targets, "focal", meaning="exclusive")
    with pytest.raises(UsageError, match=r"codes \(1, 39, 4\)"):
        detection_loss(codes[:, 1:], logits, targets)
    with pytest.raises(UsageError, match="label 3 for a model of 2 classes"):
        targets.columns[0, 0] = 4
        detection_loss(codes, logits[:, :, :3], targets)
