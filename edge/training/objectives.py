"""What a network of a task is trained by: its outputs against labels, masks or boxes, and against a teacher's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from edge.data.splits import Split
from edge.errors import UsageError
from edge.models.point_head import point_head_of
from edge.port import Scores
from edge.recipe.recipe import Phase, Train
from edge.training.box_matching import BoxBatch, box_targets
from edge.training.detection_losses import detection_distillation_loss, detection_loss
from edge.training.losses import LOSSES, auxiliary_loss
from edge.training.network import anchor_scores, input_size_hw
from edge.training.point_sampling import point_loss
from edge.vision.anchors import AnchorGrid, anchor_boxes
from edge.vision.box_coder import BoxCoder

Outputs = tuple[Tensor, ...]
Targets = Tensor | BoxBatch
OF_SCORES = ("class_weights", "positive_weights", "label_smoothing", "loss_stride")
OF_BOXES = ("score_loss", "box_weight", "match_overlap")
OF_POINTS = ("point_head_only",)
"""Keys of a phase that act on a classifier or segmenter, on a detector, and on a point head."""


class Objective(Protocol):
    """The losses of one phase, each a scalar of a batch."""

    def from_targets(self, outputs: Outputs, targets: Targets) -> Tensor:
        """The loss on labels, masks or boxes."""
        ...

    def from_teacher(self, outputs: Outputs, told: Outputs, temperature: float) -> Tensor:
        """The divergence from a teacher's outputs."""
        ...


def outputs_of(model: nn.Module, images: Tensor) -> Outputs:
    """What a network gives, as a tuple also where it is one tensor."""
    found = model(images)
    return found if isinstance(found, tuple) else (found,)


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoresObjective:
    """Scores of classes or labels, of an image or of its pixels; the first output counts, others are auxiliary heads.

    Attributes:
        weights: of the classes or labels in the loss.
    """

    phase: Phase
    scores: Scores
    weights: Tensor | None

    def from_targets(self, outputs: Outputs, targets: Targets) -> Tensor:
        """See `auxiliary_loss`."""
        assert isinstance(targets, Tensor)  # of splits with labels or masks
        phase = self.phase
        return auxiliary_loss(
            outputs,
            targets,
            scores=self.scores,
            weight=phase.auxiliary_weight if isinstance(phase, Train) else 0.0,
            stride=phase.loss_stride,
            auxiliary_stride=phase.auxiliary_stride if isinstance(phase, Train) else 1,
            weights=self.weights,
            label_smoothing=phase.label_smoothing,
        )

    def from_teacher(self, outputs: Outputs, told: Outputs, temperature: float) -> Tensor:
        """See `edge.training.losses.Losses`."""
        return LOSSES[self.scores].distillation(outputs[0], told[0], temperature)


@dataclass(frozen=True, kw_only=True, eq=False)
class PointsObjective:
    """The loss of a segmenter's coarse logits and auxiliary heads, and that of its point head at points, both whole.

    (PointRend, section 3.1.) Outputs are those of `edge.training.point_sampling.with_points`.
    """

    coarse: ScoresObjective

    def from_targets(self, outputs: Outputs, targets: Targets) -> Tensor:
        """The sum of both."""
        assert isinstance(targets, Tensor)  # of a split with masks
        *logits, at_points, points = outputs
        loss = point_loss(at_points, points, targets, self.coarse.weights)
        return loss + self.coarse.from_targets(tuple(logits), targets)

    def from_teacher(self, outputs: Outputs, told: Outputs, temperature: float) -> Tensor:
        """Of the coarse logits: a teacher's points are others."""
        return self.coarse.from_teacher(outputs, told, temperature)


@dataclass(frozen=True, kw_only=True, eq=False)
class BoxesObjective:
    """Box codes and logits of anchors.

    Attributes:
        anchors: float32 (anchors, 4), of the rows of both outputs.
        scores: what the logits are of.
        size_hw: of the model's input, in pixels.
    """

    phase: Phase
    anchors: Tensor
    scores: Scores
    size_hw: tuple[int, int]
    coder: BoxCoder

    def from_targets(self, outputs: Outputs, targets: Targets) -> Tensor:
        """See `detection_loss`."""
        assert isinstance(targets, BoxBatch)  # of splits with boxes
        codes, logits = outputs
        wanted = box_targets(targets, self.anchors, self.size_hw, self.coder, self.phase.match_overlap)
        phase = self.phase
        return detection_loss(codes, logits, wanted, phase.score_loss, meaning=self.scores, weight=phase.box_weight)

    def from_teacher(self, outputs: Outputs, told: Outputs, temperature: float) -> Tensor:
        """See `detection_distillation_loss`."""
        codes, logits = outputs
        told_codes, told_logits = told
        return detection_distillation_loss((codes, logits), (told_codes, told_logits), temperature, meaning=self.scores)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a phase trains: the float network as it is built, what it is shown, what its scores are, and where.

    Attributes:
        on_targets: targets are used, and what follows from all of them (weights of classes) is counted now.
    """

    model: nn.Module
    train: Split
    scores: Scores
    device: torch.device
    on_targets: bool


def _of_scores(phase: Phase, trained: Trained) -> Objective:
    _refuse(phase, OF_BOXES, "is of detectors")
    weights = LOSSES[trained.scores].weights(phase, trained.train) if trained.on_targets else None
    moved = None if weights is None else weights.to(trained.device)
    scores = ScoresObjective(phase=phase, scores=trained.scores, weights=moved)
    if point_head_of(trained.model) is not None:
        return PointsObjective(coarse=scores)
    _refuse(phase, OF_POINTS, "is of a network with a point head, and this one was built without ([model] point_head)")
    return scores


def _of_boxes(phase: Phase, trained: Trained) -> Objective:
    _refuse(phase, OF_SCORES, "is of images and pixels, and boxes are trained by score_loss")
    _refuse(phase, OF_POINTS, "is of segmenters with a point head")
    grid = trained.model.anchors
    assert isinstance(grid, AnchorGrid)  # every detector has it
    anchors = torch.from_numpy(anchor_boxes(grid)).to(trained.device)
    size_hw, scores = input_size_hw(trained.model), anchor_scores(trained.model)
    assert scores is not None  # as above
    return BoxesObjective(phase=phase, anchors=anchors, scores=scores, size_hw=size_hw, coder=BoxCoder())


def _refuse(phase: Phase, names: tuple[str, ...], why: str) -> None:
    for name in names:
        if name in type(phase).model_fields and getattr(phase, name) != type(phase).model_fields[name].default:
            raise UsageError(f"{name} {why}; omit it")


OBJECTIVES: Mapping[str, Callable[[Phase, Trained], Objective]] = {
    "classify": _of_scores,
    "segment": _of_scores,
    "detect": _of_boxes,
}


def objective(phase: Phase, trained: Trained) -> Objective:
    """The losses of a phase. Refuses (UsageError) keys of it that do nothing to such a network."""
    return OBJECTIVES[str(trained.model.task)](phase, trained)
