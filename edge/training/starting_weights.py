"""What a file of weights says about the network and the pixels that it was trained with."""

import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from edge.errors import CheckpointError, UsageError
from edge.files.bounded_file import check_file, is_dir
from edge.models.layouts import LAYOUTS, own_names
from edge.models.pretrained import is_head, read_tensors, recognize
from edge.models.registry import MODELS, build, models_of
from edge.training.checkpoint import Checkpoint, read_checkpoint
from edge.training.own_recipe import Weights

FLOAT_NAME = "float.safetensors"
WIDTHS = (1.0, 0.75, 0.5, 0.35, 0.25, 1.4, 1.3, 1.2, 1.1, 0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.2, 0.15, 0.1, 1.5, 2.0)
"""The published widths first; two widths of the same shapes are the same network."""
UNTOLD = frozenset({"classes", "dropout"})  # arguments that follow from the images and from the training


def starting_weights(path: str, model: str | None, task: str) -> tuple[Weights, str]:
    """Look at a file of weights, or at the folder of a run; also one line that says what was taken from it, and why.

    Args:
        model: the network that is wanted; None: of those for `task`, the one that the file fits.

    Raises:
        CheckpointError: not a file of weights, a QAT checkpoint, or one that fits no such network.
        UsageError: a checkpoint of another network than `model`, or for another task.
    """
    file = Path(path) / FLOAT_NAME if is_dir(path) else Path(path)
    check_file(file, error=CheckpointError)
    stated = _stated(file)
    if "content" in stated:
        return _of_checkpoint(read_checkpoint(file), file, model, task)
    tensors = read_tensors(file)
    for name in models_of(task) if model is None else (model,):
        if found := _fitting(name, tensors, file):
            layout, arguments = found
            pixels, why = _pixels(layout, stated.get("input"))
            weights = Weights(path=os.path.abspath(file), model=name, arguments=arguments, preprocess=pixels)
            network = ", ".join((name, *(f"{key} {value:g}" for key, value in arguments.items())))
            return weights, f"{file}: {network}, layout {layout}; {why}"
    wanted = model or " or ".join(models_of(task))
    raise CheckpointError(file, f"fits {wanted} at no width; its first tensor is '{next(iter(tensors), 'nothing')}'")


def _of_checkpoint(checkpoint: Checkpoint, file: Path, model: str | None, task: str) -> tuple[Weights, str]:
    network = checkpoint.recipe.model
    if checkpoint.kind != "float":
        raise CheckpointError(
            file, f"is a '{checkpoint.kind}' checkpoint; training starts from the float one beside it"
        )
    if model not in (None, network.name):
        raise UsageError(f"--init {file}: is a {network.name}, --model {model}")
    if checkpoint.task != task:
        raise UsageError(f"--init {file}: is for '{checkpoint.task}', the images are for '{task}'")
    weights = Weights(
        path=os.path.abspath(file),
        model=network.name,
        arguments={key: value for key, value in network.arguments.items() if key not in UNTOLD},
        preprocess=checkpoint.recipe.preprocess.model_dump(mode="json"),
    )
    return weights, f"{file}: {network.name}, network and preprocessing as its own recipe has them"


def _stated(file: Path) -> dict[str, str]:
    """The metadata of a safetensors file; none of any other. Refuses (CheckpointError) what is no file."""
    check_file(file, error=CheckpointError)
    try:
        with safe_open(file, framework="pt") as opened:
            return dict(opened.metadata() or {})
    except (SafetensorError, OSError):
        return {}


def _fitting(name: str, tensors: Mapping[str, Tensor], file: Path) -> tuple[str, dict[str, float]] | None:
    """The layout, and the width, at which a network's layers, its classifier left aside, have the file's shapes."""
    has_width = "width" in inspect.signature(MODELS[name]).parameters
    candidates: list[dict[str, float]] = [{"width": width} for width in WIDTHS] if has_width else [{}]
    for arguments in candidates:
        with torch.device("meta"):
            model = build(name, classes=2, **arguments)
        try:
            layout, names = recognize(model, tensors, file)
        except CheckpointError:
            return None
        layers = {key: own for key, own in own_names(model).items() if not is_head(key)}
        shapes = {key: model.get_parameter(f"{own.layer}.weight").shape for key, own in layers.items()}
        theirs = {key: tensors.get(f"{names[key].layer}.weight") for key in layers}
        if all(tensor is not None and tensor.shape == shapes[key] for key, tensor in theirs.items()):
            return layout, arguments
    return None


def _pixels(layout: str, stated: str | None) -> tuple[dict[str, Any], str]:
    """`mean` and `std` of pixels 0..255, and why these; none where nobody says."""
    entry = LAYOUTS[layout]
    if entry.mean is None or entry.std is None:
        return {}, "nothing in it says how pixels become its input"
    if layout == "folded" and stated is not None and "x/127.5-1" not in stated.replace(" ", ""):
        return {}, f"its input is '{stated}'"
    source = f"as the file says: {stated}" if layout == "folded" and stated is not None else f"{entry.origin}'s"
    values = {"mean": list(entry.mean), "std": list(entry.std)}
    return values, f"mean {values['mean']}, std {values['std']} of pixels 0..255, {source}"
