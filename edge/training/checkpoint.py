"""A checkpoint: weights, recipe, classes, metrics and the parent's hash, in one file that never runs code."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from edge.data.splits import Split
from edge.errors import CheckpointError, EdgeError
from edge.models.registry import build
from edge.recipe import Recipe
from edge.recipe_file import parse_recipe
from edge.training.tensor_file import read_tensors, write_tensors

FORMAT = "edge checkpoint"
VERSION = 1
Kind = Literal["float", "qat"]


@dataclass(frozen=True, kw_only=True)
class Classes:
    """What the outputs mean: names in index order, RGB colours (or none), and the mask value that was ignored."""

    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...] = ()
    ignore_index: int | None = None


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A trained network.

    Attributes:
        kind: `float`, or `qat` (the prepared module with its ranges).
        recipe: resolved, as it was trained with.
        tensors: the state dict.
        classes: meaning of the outputs.
        metrics: of the last evaluation: `epoch`, `top1` and `top5` or `miou` and `iou`, `images`, `split_sha256`, ...
        parent_sha256: hash of the float checkpoint a `qat` one was trained from.
        sha256: hash of this file; empty until it is written.
        versions: of what trained it.
    """

    kind: Kind
    recipe: Recipe
    tensors: Mapping[str, Tensor]
    classes: Classes
    metrics: Mapping[str, Any]
    parent_sha256: str | None = None
    sha256: str = ""
    versions: Mapping[str, str]


def classes_of(split: Split) -> Classes:
    """The meaning of the outputs of a network trained on a split."""
    return Classes(names=split.classes, palette=split.palette, ignore_index=split.ignore_index)


def write_checkpoint(path: str | Path, checkpoint: Checkpoint) -> str:
    """Write a checkpoint atomically; the same content gives the same bytes. Returns the file's SHA-256."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        "kind": checkpoint.kind,
        "recipe": checkpoint.recipe.model_dump(mode="json", exclude_none=True),
        "classes": {
            "names": list(checkpoint.classes.names),
            "palette": [list(colour) for colour in checkpoint.classes.palette],
            "ignore_index": checkpoint.classes.ignore_index,
        },
        "metrics": dict(checkpoint.metrics),
        "parent_sha256": checkpoint.parent_sha256,
        "versions": dict(checkpoint.versions),
    }
    return write_tensors(path, checkpoint.tensors, content)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint and check it. Refuses (CheckpointError) a missing, damaged or foreign file."""
    tensors, content, sha256 = read_tensors(path)
    if content.get("format") != FORMAT:
        raise CheckpointError(path, f"is not a checkpoint: it holds '{content.get('format')}'")
    if content.get("version") != VERSION:
        raise CheckpointError(path, f"has checkpoint version {content.get('version')}; this program reads {VERSION}")
    try:
        classes = content["classes"]
        return Checkpoint(
            kind=content["kind"],
            recipe=parse_recipe(content["recipe"], f"{path}: recipe"),
            tensors=tensors,
            classes=Classes(
                names=tuple(classes["names"]),
                palette=tuple((red, green, blue) for red, green, blue in classes["palette"]),
                ignore_index=classes["ignore_index"],
            ),
            metrics=content["metrics"],
            parent_sha256=content["parent_sha256"],
            sha256=sha256,
            versions=content["versions"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(path, f"is not a checkpoint: {json.dumps(str(error))}") from error


def float_module(recipe: Recipe, size_hw: tuple[int, int] | None = None) -> nn.Module:
    """The recipe's network, untrained, for the model's input size or (networks that allow it) another one."""
    arguments = recipe.model.arguments
    if size_hw is not None:
        arguments["resolution_hw"] = list(size_hw)
    return build(recipe.model.name, **arguments)


def restore_module(checkpoint: Checkpoint) -> nn.Module:
    """The trained network in evaluation mode: the float model, or the prepared QAT module with its ranges.

    Raises:
        EdgeError: the tensors do not fit the network that the recipe names.
    """
    if checkpoint.kind == "float":
        model = float_module(checkpoint.recipe)
    else:
        from edge.training.prepared import prepared_module

        model = prepared_module(checkpoint.recipe)
    load_tensors(model, checkpoint.tensors, f"checkpoint of kind '{checkpoint.kind}'")
    return model.eval()


def load_tensors(model: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Load a state dict strictly; refuses (EdgeError) names or shapes that differ, in one line."""
    own = model.state_dict()
    missing, unexpected = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or unexpected:
        first = f"'{missing[0]}' is missing" if missing else f"'{unexpected[0]}' is unknown"
        raise EdgeError(f"{what} does not fit its network: {len(missing)} missing, {len(unexpected)} unknown; {first}")
    for name, tensor in own.items():
        if tensor.shape != tensors[name].shape:
            shapes = f"{tuple(tensors[name].shape)}, the network needs {tuple(tensor.shape)}"
            raise EdgeError(f"{what} does not fit its network: '{name}' is {shapes}")
    model.load_state_dict(dict(tensors))
