"""The float phase: the network of the recipe on labels or masks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edge.artifact import Scores
from edge.data.model_classes import labels_of
from edge.data.splits import Split
from edge.errors import UsageError
from edge.models.pretrained import load_pretrained
from edge.recipe import Recipe
from edge.recipe_file import expand
from edge.training.batches import Batch, Batches, Normalizer
from edge.training.checkpoint import Checkpoint, write_checkpoint
from edge.training.evaluate import evaluate
from edge.training.loop import Job
from edge.training.losses import LOSSES, auxiliary_loss
from edge.training.network import float_module, input_size_hw, load_tensors
from edge.training.progress import Reporter
from edge.training.versions import versions

FLOAT_NAME = "float.safetensors"


def float_job(recipe: Recipe, train: Split, val: Split | None, folder: Path, reporter: Reporter) -> Job:
    """Everything the loop needs for the float phase.

    The result after each evaluation is written to `float.safetensors`: the last weights (their average, with
    `ema_decay`), never chosen by their score on `val`.

    Raises:
        UsageError: recipe, network and splits do not fit together.
    """
    phase = recipe.train
    check_fit(recipe, float_module(recipe), train, val)
    device = training_device()
    torch.manual_seed(phase.seed)
    size_hw = phase.crop_hw or (recipe.preprocess.height, recipe.preprocess.width)
    model = float_module(recipe, phase.crop_hw)
    result = float_module(recipe)
    if phase.init is not None:
        load_pretrained(model, expand(phase.init, recipe.data.root), reinitialize_head=phase.reset_head)
    model = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
    result = result.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
    batches = Batches(
        train,
        recipe.preprocess,
        phase,
        size_hw=size_hw,
        cache=recipe.data.cache,
        workers=recipe.data.workers,
        with_targets=phase.epochs > 0,
    )
    weights = LOSSES[train.scores].weights(phase, train) if phase.epochs else None
    weights = weights.to(device) if weights is not None else None
    normalize = Normalizer(recipe.preprocess)

    def loss(batch: Batch) -> Tensor:
        images = normalize(batch.images.to(device))
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=phase.bf16):
            outputs = model.forward_with_auxiliary(images) if phase.auxiliary_weight > 0 else (model(images),)
        assert batch.targets is not None
        return auxiliary_loss(
            outputs,
            batch.targets.to(device),
            scores=train.scores,
            weight=phase.auxiliary_weight,
            stride=phase.loss_stride,
            auxiliary_stride=phase.auxiliary_stride,
            weights=weights,
            label_smoothing=phase.label_smoothing,
        )

    def finish_epoch(tensors: Mapping[str, Tensor], epochs: int, last: bool) -> Mapping[str, Any]:
        load_tensors(result, tensors, "float phase")
        return write_float(recipe, result, train, val, folder, reporter, {"epoch": epochs, "complete": last})

    return Job(
        phase=phase,
        model=model,
        batches=batches,
        loss=loss,
        begin_epoch=lambda epoch: None,
        finish_epoch=finish_epoch,
    )


def write_float(
    recipe: Recipe,
    model: nn.Module,
    train: Split,
    val: Split | None,
    folder: Path,
    reporter: Reporter,
    metrics: Mapping[str, Any],
) -> Mapping[str, Any]:
    """Evaluate a float network on `val`, write it to `float.safetensors` with these metrics added, return them all."""
    if val is not None:
        reporter.start("evaluate", len(val))
        metrics = {**metrics, **evaluate(model, val, recipe.preprocess, advance=lambda n: reporter.advance(n))}
    labelled = val if val is not None and not train.classes else train
    checkpoint = Checkpoint(
        kind="float",
        recipe=recipe,
        tensors=model.state_dict(),
        labels=labels_of(labelled),
        metrics=metrics,
        scores=labelled.scores,
        versions=versions(),
    )
    write_checkpoint(folder / FLOAT_NAME, checkpoint)
    return metrics


def training_device() -> torch.device:
    """The first CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def check_fit(recipe: Recipe, model: nn.Module, train: Split, val: Split | None, scores: Scores | None = None) -> None:
    """Refuse (UsageError) a recipe whose network, preprocessing and splits do not fit together.

    Args:
        scores: what the network was trained to give, None where nothing has trained it yet.
    """
    height, width = input_size_hw(model)
    if (recipe.preprocess.height, recipe.preprocess.width) != (height, width):
        size = f"{recipe.preprocess.width}x{recipe.preprocess.height}"
        raise UsageError(f"[preprocess] is {size}, but {recipe.model.name} takes {width}x{height}")
    if recipe.train.auxiliary_weight > 0 and not hasattr(model, "forward_with_auxiliary"):
        raise UsageError(f"[train] auxiliary_weight: {recipe.model.name} has no auxiliary heads; leave it out")
    for split in (train, val):
        if split is None or split.task == "images":
            continue
        if split.task != model.task:
            raise UsageError(f"{split.origin} is for '{split.task}', {recipe.model.name} for '{model.task}'")
        if len(split.classes) != model.classes:
            found = f"{split.origin} has {len(split.classes)} classes, [model] classes = {model.classes}"
            raise UsageError(f"{found}; `classes = classes.txt` beside `images` names them, and which is void")
        if split.scores != (scores or split.scores):
            raise UsageError(f"{split.origin} has {split.scores} labels, and the network is for {scores} ones")
        scores = split.scores
