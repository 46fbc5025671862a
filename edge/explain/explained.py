"""A model opened to be explained: probabilities of its classes, differentiable, from an image as it is preprocessed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from edge.errors import UsageError
from edge.files.bounded_file import is_dir
from edge.training.checkpoint import Checkpoint, read_checkpoint, restore_module
from edge.vision.preprocess import Preprocess


@dataclass(frozen=True, kw_only=True)
class Explained:
    """A model to explain.

    Attributes:
        name: as it was named. kind: `float`, or `int8` where the values are those of the integer simulation.
        names: of the classes, by index.
        probabilities: normalized images (n, 3, h, w) to probabilities (n, classes), of a segmenter (n, classes, rows,
            columns); each of its own image alone, differentiable.
    """

    name: str
    kind: str
    task: str
    names: tuple[str, ...]
    preprocess: Preprocess
    probabilities: Callable[[Tensor], Tensor]


def open_explained(path: Path) -> Explained:
    """Open a checkpoint. Refuses (UsageError) what cannot be explained."""
    if is_dir(path):
        raise UsageError(f"{path}: is a folder; a float checkpoint can be explained")
    return _of_checkpoint(str(path), read_checkpoint(path))


def as_probabilities(values: Tensor, meaning: str, scores: str | None) -> Tensor:
    """Probabilities of the classes on axis 1, of no and of yes for one score.

    Args:
        values: real, classes on axis 1. meaning: `logits` or `probabilities`. scores: `exclusive` or `independent`.
    """
    if meaning == "logits":
        values = values.sigmoid() if scores == "independent" else values.softmax(dim=1)
    return torch.cat([1 - values, values], dim=1) if values.shape[1] == 1 else values


def _of_checkpoint(name: str, checkpoint: Checkpoint) -> Explained:
    if checkpoint.kind != "float":
        raise UsageError(f"{name}: is a {checkpoint.kind} checkpoint; a float one can be explained")
    module = restore_module(checkpoint).requires_grad_(False)
    return Explained(
        name=name,
        kind="float",
        task=checkpoint.task,
        names=checkpoint.labels.names,
        preprocess=checkpoint.recipe.preprocess,
        probabilities=lambda images: as_probabilities(module(images), "logits", checkpoint.scores),
    )
