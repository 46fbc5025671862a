"""Accuracy of a network in memory on a split: what `edge train` logs and `edge eval CHECKPOINT` prints."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from edge.data.splits import Split
from edge.port import DescribedPort
from edge.tasks.accuracy import Advance, Pixels, accuracy, no_progress
from edge.tasks.table import TASKS
from edge.tasks.task import ModelFacts
from edge.training.batches import Normalizer
from edge.training.network import anchor_scores
from edge.training.refined_points import point_network
from edge.vision.box_coder import BoxCoder
from edge.vision.detector import Detector
from edge.vision.pixels import resize
from edge.vision.preprocess import Preprocess

BATCH_SIZE = 8


def evaluate(
    model: nn.Module, split: Split, preprocess: Preprocess, *, advance: Advance = no_progress
) -> dict[str, Any]:
    """Evaluate in evaluation mode, float32, at the model's input size; the model's mode is put back afterwards.

    Args:
        advance: called with the number of images done since the last call.

    Returns:
        See `edge.tasks.accuracy.accuracy`.
    """
    training = model.training
    model.eval()
    try:
        return accuracy(
            split,
            module_predictions(model, preprocess, split.task),
            batch_size=BATCH_SIZE,
            independent=split.scores == "independent",
            advance=advance,
        )
    finally:
        model.train(training)


def module_predictions(
    model: nn.Module, preprocess: Preprocess, task: str, *, point_steps: int | None = None
) -> Callable[[list[Pixels]], list[np.ndarray[Any, Any]]]:
    """A network's values of frames (`Task.values`); scores of images are counted as they are.

    `point_steps`: of a network with a point head, instead of its own.
    """
    normalize = Normalizer(preprocess)
    device = next(model.parameters()).device

    def predict(frames: list[Pixels]) -> list[np.ndarray[Any, Any]]:
        pixels = torch.from_numpy(np.stack([resize(frame, preprocess) for frame in frames]))
        with torch.inference_mode():
            made = model(normalize(pixels.to(device)))
        outputs = [output.float().cpu().numpy() for output in (made if isinstance(made, tuple) else (made,))]
        if outputs[0].ndim == 2:
            return list(outputs[0])
        found = point_network(model, outputs, (preprocess.height, preprocess.width), point_steps)
        if found is not None:
            outputs, told, points = found
            facts = ModelFacts(outputs=told, names=(), preprocess=preprocess, points=points)
        else:
            facts = _facts(model, task, outputs, preprocess)
        return [
            TASKS[task].values(tuple(output[None] for output in one), facts, (frame.shape[0], frame.shape[1]))
            for *one, frame in zip(*outputs, frames, strict=True)
        ]

    return predict


ENDS: Mapping[str, tuple[tuple[str, str, str | None], ...]] = {
    "segment": (("logits", "nchw", "exclusive"),),
    "detect": (("box_codes", "nac", None), ("logits", "nac", "independent")),
}
"""Meaning, layout and scores of a network's outputs, of tasks with more than one score per class and image; what the
scores of anchors are, a detector says."""


def _facts(model: nn.Module, task: str, outputs: list[np.ndarray[Any, Any]], preprocess: Preprocess) -> ModelFacts:
    of_anchors = anchor_scores(model)
    ports = tuple(
        DescribedPort(
            name=meaning,
            shape=(1, *output.shape[1:]),
            dtype="float32",
            layout=layout,
            meaning=meaning,
            scores=scores and (of_anchors or scores),
        )
        for output, (meaning, layout, scores) in zip(outputs, ENDS[task], strict=True)
    )
    grid = getattr(model, "anchors", None)
    detector = None if grid is None else Detector(form="ssd", anchors=grid, coder=BoxCoder(), background=0)
    names = () if grid is None else tuple(str(label) for label in range(outputs[-1].shape[-1] - 1))
    return ModelFacts(outputs=ports, names=names, preprocess=preprocess, detection=detector)
