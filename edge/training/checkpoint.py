"""A checkpoint: weights, recipe, labels, metrics and the parent's hash, in one file that never runs code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from edge.artifact.manifest import Task
from edge.artifact.model_file import Labels
from edge.errors import CheckpointError, EdgeError, RecipeError
from edge.files.bounded_file import is_file
from edge.port import Scores
from edge.recipe.recipe import Recipe
from edge.recipe.recipe_file import parse_recipe
from edge.strict import first_problem
from edge.training.network import anchor_scores, float_module, load_tensors, prepared_module
from edge.training.tensor_file import read_tensors, write_tensors

FORMAT = "edge checkpoint"
VERSION = 1
Kind = Literal["float", "qat"]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A trained network.

    Attributes:
        kind: `float`, or `qat` (the prepared module with its ranges).
        recipe: resolved, as it was trained with; at another input size (`edge.training.input_size`) for that size.
        tensors: the state dict.
        labels: what the outputs mean. scores: whether they exclude each other.
        metrics: of the last evaluation: `epoch`, `complete`, `images`, `split_sha256`, and the figures of
            `edge.tasks.accuracy`.
        parent_sha256: hash of the float checkpoint that a `qat` one was trained from.
        versions: of what trained it.
        trained_recipe: as it was trained with, of one that was opened at another input size; None of any other.
        path, sha256: where it was read from and the file's hash; None and empty for one that was not.
    """

    kind: Kind
    recipe: Recipe
    tensors: Mapping[str, Tensor]
    labels: Labels
    metrics: Mapping[str, Any]
    scores: Scores = "exclusive"
    parent_sha256: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    trained_recipe: Recipe | None = None
    path: Path | None = None
    sha256: str = ""

    @property
    def task(self) -> Task:
        """What the network is for."""
        return float_module(self.recipe).task  # type: ignore[return-value]  # attributes of nn.Module are untyped

    @property
    def trained_hw(self) -> tuple[int, int] | None:
        """Height and width that it was trained at, of one that was opened at another input size."""
        recipe = self.trained_recipe
        return None if recipe is None else (recipe.preprocess.height, recipe.preprocess.width)


def write_checkpoint(path: str | Path, checkpoint: Checkpoint) -> str:
    """Write a checkpoint atomically; the same content gives the same bytes. Returns the file's SHA-256."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        "kind": checkpoint.kind,
        "recipe": checkpoint.recipe.model_dump(mode="json", exclude_none=True),
        "classes": checkpoint.labels.model_dump(mode="json"),
        "scores": checkpoint.scores,
        "metrics": dict(checkpoint.metrics),
        "parent_sha256": checkpoint.parent_sha256,
        "versions": dict(checkpoint.versions),
    }
    return write_tensors(path, checkpoint.tensors, content)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint and check it. Refuses (CheckpointError) a missing, damaged or foreign file, or a model file."""
    if Path(path).suffix.lower() in (".onnx", ".tflite") and is_file(Path(path)):
        raise CheckpointError(
            path,
            "is a model file alone, which says neither preprocessing nor classes; name an artifact or a checkpoint",
        )
    tensors, content, sha256 = read_tensors(path)
    if content.get("format") != FORMAT:
        raise CheckpointError(path, f"is not a checkpoint: it holds '{content.get('format')}'")
    if content.get("version") != VERSION:
        raise CheckpointError(path, f"has checkpoint version {content.get('version')}; this program reads {VERSION}")
    if content.get("kind") not in ("float", "qat"):
        raise CheckpointError(path, f"is of an unknown kind '{content.get('kind')}'")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor.to(torch.float32)).all():
            raise CheckpointError(path, f"tensor '{name}' holds values that are not finite")
    scores = content.get("scores", "exclusive")  # all that earlier ones held
    if scores not in get_args(Scores):
        raise CheckpointError(path, f"has scores of an unknown kind '{scores}'")
    if not isinstance(content.get("metrics"), dict) or not isinstance(content.get("versions"), dict):
        raise CheckpointError(path, "is not a checkpoint: its metrics or versions are not a table")
    try:
        return Checkpoint(
            kind=content["kind"],
            recipe=parse_recipe(content["recipe"], "its recipe"),
            tensors=tensors,
            labels=Labels.model_validate({**content["classes"], "palette": content["classes"]["palette"] or None}),
            metrics=content["metrics"],
            scores=scores,
            parent_sha256=content["parent_sha256"],
            versions=content["versions"],
            path=Path(path),
            sha256=sha256,
        )
    except RecipeError as error:
        raise CheckpointError(path, str(error)) from error
    except ValidationError as error:
        raise CheckpointError(path, f"is not a checkpoint: its classes: {first_problem(error, Labels)}") from error
    except (KeyError, TypeError) as error:
        raise CheckpointError(path, f"is not a checkpoint: {error}") from error


def scores_of(checkpoint: Checkpoint) -> Scores:
    """What its scores are: of a detector by its network, of others as it was trained."""
    return anchor_scores(float_module(checkpoint.recipe)) or checkpoint.scores


def restore_module(checkpoint: Checkpoint) -> nn.Module:
    """The trained network in evaluation mode: the float model, or the prepared QAT module with its ranges.

    Raises:
        CheckpointError: the tensors do not fit the network that the recipe names.
    """
    model = float_module(checkpoint.recipe)
    if checkpoint.kind == "qat":
        model = prepared_module(checkpoint.recipe, model)
    try:
        load_tensors(model, checkpoint.tensors, "its content")
    except EdgeError as error:
        raise CheckpointError(checkpoint.path or f"{checkpoint.kind} checkpoint", str(error)) from error
    return model.eval()
