"""The images that come out worst are kept, the worst first, with what is true drawn beside what was predicted."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.data.boxes import Box, BoxTarget
from edge.data.generated import generated_split
from edge.data.splits import Sample, Split
from edge.tasks.worst import Worst
from tests.support.box_scenes import box_split

GREY = np.full((40, 60, 3), 100, np.uint8)
LEFT, RIGHT = (5.0, 5.0, 20.0, 20.0), (35.0, 10.0, 50.0, 30.0)


def box_rows(*found: tuple[tuple[float, ...], float, int]) -> NDArray[np.float64]:
    return np.array([[*box, score, label] for box, score, label in found], np.float64).reshape(-1, 6)


def scenes(*targets: tuple[Box, ...]) -> Split:
    samples = [Sample(name=f"{index}", image=GREY.copy, target=BoxTarget(boxes)) for index, boxes in enumerate(targets)]
    return Split(samples=tuple(samples), task="detect", classes=("cat", "dog"), origin="scenes")


def watched(split: Split, answers: list[Any], **asked: Any) -> Worst:
    worst = Worst(split, **asked)
    for index, values in enumerate(answers):
        worst.add(values, split.image(index))
    return worst


def test_boxes_that_are_missed_or_too_many_make_an_image_worse() -> None:
    cat = Box(*map(int, LEFT), 0)
    split = scenes((cat,), (cat,), (cat,), ())
    found = [
        box_rows((LEFT, 0.9, 0), (RIGHT, 0.5, 1)),  # one too many
        box_rows((LEFT, 0.9, 1)),  # of another class: one missed, one too many
        box_rows((LEFT, 0.9, 0), (RIGHT, 0.2, 1)),  # below what is shown
        box_rows(),
    ]
    judged = watched(split, found).judged
    assert [(image.name, image.words) for image in judged] == [
        ("1", "0 found, 1 missed, 1 too many"),
        ("0", "1 found, 0 missed, 1 too many"),
        ("2", "1 found, 0 missed, 0 too many"),
        ("3", "0 found, 0 missed, 0 too many"),
    ]
    assert [image.right for image in judged] == pytest.approx([0, 2 / 3, 1, 1])
    assert watched(split, found, shown_from=0.1).judged[1].words == watched(split, found).judged[1].words
    assert watched(split, found, shown_from=0.1).judged[2].words == "1 found, 0 missed, 1 too many"


def test_what_is_ignored_is_neither_missed_nor_too_many() -> None:
    cat, crowd = Box(*map(int, LEFT), 0), Box(*map(int, RIGHT), 0, ignored=True)
    (seen,) = watched(scenes((cat, crowd)), [box_rows((LEFT, 0.9, 0), (RIGHT, 0.8, 0))]).judged
    (missed,) = watched(scenes((cat, crowd)), [box_rows((LEFT, 0.9, 0))]).judged
    assert seen.words == missed.words == "1 found, 0 missed, 0 too many"


def test_true_boxes_are_drawn_beside_predicted_ones() -> None:
    """Left the box that is there, right the one that was found: each picture has its own edges and not the other's."""
    (judged,) = watched(scenes((Box(*map(int, LEFT), 0),)), [box_rows((RIGHT, 0.9, 1))]).judged
    (said, truth), (answered, predicted) = judged.pictures
    assert (said, answered) == ("true: 1 box", "predicted from 0.3 on: 0 found, 1 missed, 1 too many")
    edge_of_left, edge_of_right = (19, 12), (29, 40)  # row and column on a lower edge, and on a right one
    assert (truth[edge_of_left] != GREY[edge_of_left]).any() and (truth[edge_of_right] == 100).all()
    assert (predicted[edge_of_right] != GREY[edge_of_right]).any() and (predicted[edge_of_left] == 100).all()


def test_only_the_worst_are_kept_the_worst_first_and_of_equal_ones_the_first() -> None:
    split = box_split(6)
    worst = watched(split, [box_rows()] * 6, most=3).judged  # nothing is found anywhere; the last scene has no box
    assert [image.name for image in worst] == ["scene0", "scene1", "scene2"]


def test_class_maps_are_judged_by_their_mean_iou_and_void_is_left_out() -> None:
    split = generated_split("segment", "val", 2)
    masks = [split.mask(index, split.image(index)) for index in range(2)]
    half = masks[1].copy()
    half[: len(half) // 2] = (half[: len(half) // 2] + 1) % len(split.classes)
    worst = watched(split, [masks[0], half]).judged
    assert [image.name for image in worst] == [split.name(1), split.name(0)]
    assert worst[1].right == 1.0 and 0 < worst[0].right < 0.8 and worst[1].words == "mean IoU 100.0%"
    (_, truth), (_, predicted) = worst[1].pictures
    np.testing.assert_array_equal(truth, predicted)
    (_, truth), (_, predicted) = worst[0].pictures
    assert (truth != predicted).any()


def test_classes_are_judged_by_how_far_the_true_one_falls_behind() -> None:
    split = generated_split("classify", "val", 3)
    scores = np.zeros((3, len(split.classes)), np.float32)
    for index, lead in enumerate((1.0, -4.0, -2.0)):
        scores[index, split.label(index)] = lead
    worst = watched(split, list(scores)).judged
    assert [image.name for image in worst] == [split.name(index) for index in (1, 2, 0)]
    assert [image.words for image in worst] == ["wrong", "wrong", "right"]
    (said, _), (answered, _) = worst[0].pictures
    assert said == f"true: {split.classes[split.label(1)]}" and answered != said.replace("true", "predicted")


def test_independent_labels_are_counted_one_by_one() -> None:
    split = generated_split("attributes", "val", 2)
    right = np.where(split.truth(0) == 1, 1.0, -1.0).astype(np.float32)
    wrong = -np.where(split.truth(1) == 1, 1.0, -1.0).astype(np.float32)
    worst = watched(split, [right, wrong], independent=True).judged
    labels = len(split.classes)
    assert [image.words for image in worst] == [f"{labels} of {labels} labels wrong", f"0 of {labels} labels wrong"]
