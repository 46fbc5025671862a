"""The images of a split that come out worst, each as two pictures: what is true, and what was predicted.

How right a prediction is, is counted per image: the share of boxes that are found (F1, one class, an overlap of 0.5),
the mean IoU of a class map, and of classes by how much the true one falls behind.
"""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from edge.data.splits import UNKNOWN, Split
from edge.evaluation.boundaries import count_maps, mean_share
from edge.evaluation.box_likeness import alike_boxes
from edge.tasks.segment import NOT_SEEN
from edge.tasks.task import Array, Pixels
from edge.vision.overlay import draw_boxes, draw_class_map

Pictures = tuple[tuple[str, Pixels], tuple[str, Pixels]]
SHOWN_FROM = 0.3
"""Probability from which on a box counts and is drawn, where nobody says another."""
MOST = 16


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was predicted of one image (`Task.values`), beside the image and its place in the split."""

    split: Split
    index: int
    values: Array
    image: Pixels
    shown_from: float = SHOWN_FROM
    independent: bool = False


@dataclass(frozen=True, kw_only=True)
class Judged:
    """An image with how right its prediction is: a number that only falls as it gets worse, and it in words."""

    right: float
    words: str
    answer: Answer

    @property
    def pictures(self) -> Pictures:
        """The truth and the prediction, drawn on the image, each with a line of text."""
        return _VIEWS[self.answer.split.task].draw(self.answer)

    @property
    def name(self) -> str:
        """The image's name in its split."""
        return self.answer.split.name(self.answer.index)


class Worst:
    """Keeps the `most` worst of the images that it is shown, in the split's order."""

    def __init__(
        self, split: Split, *, most: int = MOST, shown_from: float = SHOWN_FROM, independent: bool = False
    ) -> None:
        self._split, self._most, self._shown_from, self._independent = split, most, shown_from, independent
        self._seen = 0
        self._kept: list[tuple[float, int, Judged]] = []  # a heap, the least wrong of them first

    def add(self, values: Array, image: Pixels) -> None:
        """Look at the next image of the split; values as `Task.values` gives them."""
        answer = Answer(
            split=self._split,
            index=self._seen,
            values=values,
            image=image,
            shown_from=self._shown_from,
            independent=self._independent,
        )
        self._seen += 1
        right, words = _VIEWS[self._split.task].right(answer)
        if not np.isnan(right):  # nothing to be right about
            heapq.heappush(self._kept, (-right, -answer.index, Judged(right=right, words=words, answer=answer)))
        if len(self._kept) > self._most:
            heapq.heappop(self._kept)

    @property
    def judged(self) -> list[Judged]:
        """The worst first; of equal ones the first of the split."""
        return [judged for *_, judged in sorted(self._kept, key=lambda kept: (-kept[0], -kept[1]))]


def _boxes_right(answer: Answer) -> tuple[float, str]:
    truth, shown = answer.split.boxes(answer.index), _shown(answer)
    told = np.column_stack([truth.boxes, np.ones(len(truth.boxes)), truth.labels])
    counted = told[~truth.ignored]
    alike, _ = alike_boxes(shown, counted)
    beside, _ = alike_boxes(shown, told)  # what lies on an ignored box is neither found nor too much
    too_many = len(shown) - max(alike, beside)
    missed = len(counted) - alike
    total = 2 * alike + too_many + missed
    return 2 * alike / total if total else 1.0, f"{alike} found, {missed} missed, {too_many} too many"


def _draw_boxes(answer: Answer) -> Pictures:
    split, truth, shown = answer.split, answer.split.boxes(answer.index), _shown(answer)
    names = (*split.classes, *(f"{name}, ignored" for name in split.classes))
    labels = truth.labels + len(split.classes) * truth.ignored
    drawn = draw_boxes(answer.image, truth.boxes, None, labels, names, split.palette * 2)
    boxes, scores, found = shown[:, :4], shown[:, 4], shown[:, 5].astype(np.int64)
    return (
        (f"true: {len(truth.boxes)} box{'es' * (len(truth.boxes) != 1)}", drawn),
        (
            f"predicted from {answer.shown_from:g} on: {_boxes_right(answer)[1]}",
            draw_boxes(answer.image, boxes, scores, found, names, split.palette * 2),
        ),
    )


def _shown(answer: Answer) -> Array:
    """The rows that a person is shown."""
    return answer.values[answer.values[:, 4] >= answer.shown_from]


def _map_right(answer: Answer) -> tuple[float, str]:
    split = answer.split
    truth = split.mask(answer.index, answer.image)
    (right, *_), (union, *_) = count_maps(truth, answer.values, len(split.classes), (), split.ignore_index)
    share = mean_share(right, union)
    return share, f"mean IoU {share:.1%}"


def _draw_map(answer: Answer) -> Pictures:
    split = answer.split
    truth = split.mask(answer.index, answer.image)
    if split.ignore_index is not None:
        truth = np.where(truth == split.ignore_index, NOT_SEEN, truth).astype(np.uint8)
    drawn = (draw_class_map(answer.image, one, split.classes, split.palette) for one in (truth, answer.values))
    return ("true", next(drawn)), (f"predicted: {_map_right(answer)[1]}", next(drawn))


def _class_right(answer: Answer) -> tuple[float, str]:
    values = answer.values.astype(np.float64)
    if answer.independent:
        truth = answer.split.truth(answer.index)
        known = truth != UNKNOWN
        wrong = known & ((values >= 0) != (truth == 1))
        return -float(np.abs(values[wrong]).sum()), f"{int(wrong.sum())} of {int(known.sum())} labels wrong"
    label = answer.split.label(answer.index)
    margin = float(values[label] - np.delete(values, label).max(initial=-np.inf))
    return margin, "right" if margin > 0 or values.argmax() == label else "wrong"


def _draw_class(answer: Answer) -> Pictures:
    classes, values = answer.split.classes, answer.values
    if answer.independent:
        truth = answer.split.truth(answer.index)
        holds, said = (truth == 1).nonzero()[0], (values >= 0).nonzero()[0]
    else:
        holds, said = np.array([answer.split.label(answer.index)]), values.argmax(axis=0, keepdims=True)
    told = [", ".join(classes[label] for label in labels) or "no label" for labels in (holds, said)]
    return (f"true: {told[0]}", answer.image), (f"predicted: {told[1]}", answer.image)


@dataclass(frozen=True, kw_only=True)
class _View:
    """How right an answer of a task is, in a number and in words, and how truth and answer are drawn."""

    right: Callable[[Answer], tuple[float, str]]
    draw: Callable[[Answer], Pictures]


_VIEWS: Mapping[str, _View] = {
    "classify": _View(right=_class_right, draw=_draw_class),
    "segment": _View(right=_map_right, draw=_draw_map),
    "detect": _View(right=_boxes_right, draw=_draw_boxes),
}
