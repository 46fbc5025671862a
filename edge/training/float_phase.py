"""The float phase: the network of the recipe on labels or masks."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from edge.artifact.manifest import Scores
from edge.data.model_classes import labels_of
from edge.data.splits import Split
from edge.errors import UsageError
from edge.models.pretrained import LoadedWeights, load_pretrained
from edge.recipe.recipe import Recipe
from edge.recipe.recipe_file import expand
from edge.training.batch_norm import estimate_statistics, hold_still, without_statistics
from edge.training.batches import Batch, Batches, Normalizer
from edge.training.checkpoint import Checkpoint
from edge.training.evaluate import evaluate
from edge.training.loop import Job
from edge.training.losses import LOSSES, auxiliary_loss
from edge.training.network import float_module, input_size_hw, load_tensors
from edge.training.probe_head import check_probe, probe_images, start_from_probe
from edge.training.progress import Reporter
from edge.training.versions import versions

FLOAT_NAME = "float.safetensors"
STATISTICS_BATCHES = 32


def float_job(recipe: Recipe, train: Split, val: Split | None, reporter: Reporter) -> Job:
    """Everything the loop needs for the float phase.

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
    loaded: LoadedWeights | None = None
    if phase.init is not None:
        anew = phase.reset_head or phase.head == "probe"
        loaded = load_pretrained(model, expand(phase.init, recipe.data.root), reinitialize_head=anew)
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
    folded = bool(without_statistics(model))
    frozen_from = phase.freeze_batch_norm_epoch
    if frozen_from is None and folded:
        frozen_from = 0
    if phase.head == "probe":
        check_probe(model, train)

    def begin() -> None:
        if folded and phase.epochs > 0:
            if frozen_from == 0:
                reporter.say("batch norm is folded into the weights: its statistics stay frozen")
            else:
                give_statistics(model, batches, normalize, reporter)
        if phase.head == "probe":
            reporter.start("linear probe", len(probe_images(train, phase.seed)))
            probe = start_from_probe(
                model,
                train,
                recipe.preprocess,
                phase.seed,
                mirrored=phase.augment.flip > 0,
                pretrained=None if loaded is None else loaded.classifier,
                advance=lambda n: reporter.advance(n),
            )
            reporter.say(f"linear probe: {probe.told} on the training images, cross-validated")

    def begin_epoch(epoch: int) -> None:
        if frozen_from is not None and epoch >= frozen_from:
            hold_still(model)

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

    def evaluated(tensors: Mapping[str, Tensor]) -> Mapping[str, Any]:
        load_tensors(result, tensors, "float phase")
        return validated(result, val, recipe, reporter)

    def checkpoint(tensors: Mapping[str, Tensor], metrics: Mapping[str, Any]) -> Checkpoint:
        load_tensors(result, tensors, "float phase")
        labelled = val if val is not None and not train.classes else train
        return Checkpoint(
            kind="float",
            recipe=recipe,
            tensors=result.state_dict(),
            labels=labels_of(labelled),
            metrics=metrics,
            scores=labelled.scores,
            versions=versions(),
        )

    return Job(
        phase=phase,
        result_name=FLOAT_NAME,
        model=model,
        batches=batches,
        loss=loss,
        begin=begin,
        begin_epoch=begin_epoch,
        evaluate=evaluated,
        checkpoint=checkpoint,
    )


def give_statistics(model: nn.Module, batches: Batches, normalize: Normalizer, reporter: Reporter) -> None:
    """Prepare folded weights for training with live batch norm (`edge.training.batch_norm`)."""
    reporter.say("batch norm is folded into the weights: taking its statistics from the training images")
    device = next(model.parameters()).device
    seen = islice(batches.epoch(0), STATISTICS_BATCHES)
    estimate_statistics(model, (normalize(batch.images.to(device)) for batch in seen))


def validated(model: nn.Module, val: Split | None, recipe: Recipe, reporter: Reporter) -> Mapping[str, Any]:
    """The metrics of a network on `val`; none without it."""
    if val is None:
        return {}
    reporter.start("evaluate", len(val))
    return evaluate(model, val, recipe.preprocess, advance=lambda n: reporter.advance(n))


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
        raise UsageError(f"[train] auxiliary_weight: {recipe.model.name} has no auxiliary heads; omit it")
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
