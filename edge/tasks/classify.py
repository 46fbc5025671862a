"""Classification: the classes of an image, which exclude each other, or labels of which any number holds."""

import math
from dataclasses import dataclass
from typing import Any

from edge.tasks.task import (
    ASKED,
    TOP,
    Array,
    Asked,
    Measure,
    ModelFacts,
    Outputs,
    Pixels,
    Prediction,
    Task,
    deferred,
)
from edge.vision.overlay import Style, draw_scores
from edge.vision.postprocess import ClassScores, class_scores, ranked_values

SHOWN_CLASSES = 3


@dataclass(frozen=True, kw_only=True)
class ClassPrediction(Prediction):
    """A classifier's prediction: the best classes, TOP of them or as many as were asked for, the best first.

    `scores.decided` is 0 where the best has less than the threshold that was asked for.
    """

    scores: ClassScores

    @property
    def label(self) -> str:
        """Name of the best class."""
        return self.scores.names[0]

    @property
    def probability(self) -> float:
        """Probability of the best class, in [0, 1]."""
        return self.scores.probabilities[0]


@dataclass(frozen=True, kw_only=True)
class LabelsPrediction(Prediction):
    """The prediction of a classifier whose labels are independent: those that hold, and the best scores beside them."""

    scores: ClassScores

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels that hold, from a probability of 0.5, or the threshold, on, the most probable first."""
        return self.scores.names[: self.scores.decided]


def _has_labels(facts: ModelFacts) -> bool:
    """Whether several labels may hold: independent, and more than the one score of yes against no."""
    told = facts.outputs[0]
    return told.scores == "independent" and math.prod(told.shape) > 1


def _predict(
    outputs: Outputs, facts: ModelFacts, frame_hw: tuple[int, int], asked: Asked = ASKED
) -> ClassPrediction | LabelsPrediction:
    scores = class_scores(
        outputs[0], facts.outputs[0], facts.names, top=asked.top_k or TOP, probability=asked.threshold
    )
    return LabelsPrediction(scores=scores) if _has_labels(facts) else ClassPrediction(scores=scores)


def _values(outputs: Outputs, facts: ModelFacts, frame_hw: tuple[int, int]) -> Array:
    """`ranked_values`, float32 (classes,)."""
    return ranked_values(outputs[0], facts.output)


def _decisions(values: Array, facts: ModelFacts) -> Array:
    """The class, (1,); of independent labels whether each holds, (classes,)."""
    return values >= 0 if _has_labels(facts) else values.argmax(axis=0, keepdims=True)


def _plain(prediction: ClassPrediction | LabelsPrediction) -> dict[str, Any]:
    """`classes` with their probabilities; of independent labels also `labels`, the names of those that hold."""
    scores = prediction.scores
    ranked = zip(scores.indices, scores.names, scores.probabilities, strict=True)
    classes = {"classes": [{"index": i, "name": name, "probability": p} for i, name, p in ranked]}
    return {"labels": list(prediction.labels), **classes} if isinstance(prediction, LabelsPrediction) else classes


def _line(prediction: ClassPrediction | LabelsPrediction) -> str:
    """The best three; of independent labels all that hold, and where none does, `no label` and the best in brackets."""
    shown, form, scores = SHOWN_CLASSES, "{}", prediction.scores
    if isinstance(prediction, LabelsPrediction):
        shown, form = (scores.decided, "{}") if scores.decided else (SHOWN_CLASSES, "no label ({})")
    pairs = list(zip(scores.names, scores.probabilities, strict=True))[:shown]
    return form.format(", ".join(f"{name} {100 * value:.1f} %" for name, value in pairs))


def _draw(rgb: Pixels, prediction: ClassPrediction | LabelsPrediction, style: Style) -> Pixels:
    return draw_scores(rgb, prediction.scores, style)


EXCLUSIVE = Measure(metric="top1", unit="images", meter=deferred("edge.tasks.classify_meters", "ClassMeter"))
INDEPENDENT = Measure(
    metric="mean_average_precision", unit="labels", meter=deferred("edge.tasks.classify_meters", "LabelsMeter")
)

CLASSIFY: Task[ClassPrediction | LabelsPrediction] = Task(
    name="classify",
    title="image classifier",
    predict=_predict,
    values=_values,
    decisions=_decisions,
    measure=lambda independent: INDEPENDENT if independent else EXCLUSIVE,
    plain=_plain,
    line=_line,
    draw=_draw,
    gist=lambda prediction: ", ".join(prediction.scores.names[: prediction.scores.decided]),
)
