"""The quantization-aware phase: the float network's copy with fake quantization, on labels, a teacher, or both."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edge.data.splits import Split
from edge.errors import UsageError
from edge.models.point_head import point_head_of
from edge.quantization.qat.phase import CALIBRATE, FLOAT, TRAIN
from edge.quantization.qat.point_rend import QuantizedPointRend
from edge.quantization.qat.prepare import set_phase
from edge.quantization.qat.rounding import round_by_least_squares
from edge.recipe.recipe import Qat, Recipe
from edge.training.batch_norm import without_statistics
from edge.training.batches import Batch, Batches, KeptSamples, Normalizer
from edge.training.bfloat16 import autocast
from edge.training.checkpoint import Checkpoint, restore_module
from edge.training.float_phase import give_statistics, training_device, validated
from edge.training.folded_norms import fold_norms
from edge.training.loop import Job
from edge.training.network import load_tensors, prepared_module
from edge.training.objectives import Objective, Trained, objective, outputs_of
from edge.training.point_sampling import with_points
from edge.training.progress import Reporter
from edge.training.versions import versions
from edge.vision.pixels import resize
from edge.vision.preprocess import Preprocess

QAT_NAME = "qat.safetensors"


def qat_job(
    recipe: Recipe,
    qat: Qat,
    parent: Checkpoint,
    train: Split,
    val: Split | None,
    reporter: Reporter,
    kept: KeptSamples | None = None,
    *,
    observe: bool,
) -> Job:
    """Everything the loop needs for the QAT phase.

    Args:
        parent: the float checkpoint: where the weights start, and the teacher.
        kept: the training samples that other phases decoded (`Batches`).
        observe: set the first ranges from `observe_batches` batches; False where a saved state brings them.
    """
    device = training_device()
    torch.manual_seed(qat.seed)
    teacher = restore_module(parent).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
    teacher.requires_grad_(False)
    batches = Batches(
        train,
        recipe.preprocess,
        qat,
        size_hw=(recipe.preprocess.height, recipe.preprocess.width),
        kept=kept,
        workers=recipe.data.workers,
        with_targets=qat.label_weight > 0,
    )
    normalize = Normalizer(recipe.preprocess)
    shown = Trained(model=teacher, train=train, scores=parent.scores, device=device, on_targets=qat.label_weight > 0)
    losses = objective(qat, shown)
    start = restore_module(parent).to(device)
    if without_statistics(start):
        if qat.freeze_batch_norm_epoch is None:
            qat = qat.model_copy(update={"freeze_batch_norm_epoch": 0})
        if observe and qat.freeze_batch_norm_epoch != 0:
            give_statistics(start, batches, normalize, reporter)
    start = start.cpu()
    model = prepared_module(recipe, start)
    result = prepared_module(recipe, start)
    for module in (model, result):
        module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
    if isinstance(model, QuantizedPointRend) and qat.rounding == "least_squares":
        raise UsageError('[qat] rounding = "least_squares" is for networks of one file; with a point head omit it')
    if observe:
        observe_ranges(model, batches, normalize, qat.observe_batches, device)
        if isinstance(model, QuantizedPointRend):
            head = point_head_of(teacher)
            assert head is not None  # of the float network that was prepared
            model.start_head(head)
            observe_ranges(model, batches, normalize, qat.observe_batches, device, observed=model.point_head)
        elif qat.rounding == "least_squares":
            images = plain_images(train, recipe.preprocess, qat.rounding_images, qat.seed)
            round_by_least_squares(model, normalize(images.to(device)), seed=qat.seed)
    fold_norms(teacher)  # from here on it only answers
    teacher.requires_grad_(False)

    def evaluated(tensors: Mapping[str, Tensor]) -> Mapping[str, Any]:
        load_tensors(result, tensors, "QAT phase")
        return validated(result, val, recipe, reporter)

    def checkpoint(tensors: Mapping[str, Tensor], metrics: Mapping[str, Any]) -> Checkpoint:
        load_tensors(result, tensors, "QAT phase")
        return Checkpoint(
            kind="qat",
            recipe=recipe,
            tensors=result.state_dict(),
            labels=parent.labels,
            metrics=metrics,
            scores=parent.scores,
            parent_sha256=parent.sha256,
            versions=versions(),
        )

    return Job(
        phase=qat,
        result_name=QAT_NAME,
        model=model,
        batches=batches,
        loss=_Loss(qat, model, teacher, normalize, losses, device),
        begin=lambda: None,
        begin_epoch=lambda epoch: begin_epoch(model, qat, epoch),
        evaluate=evaluated,
        checkpoint=checkpoint,
    )


def range_notes(qat: Qat | None) -> list[str]:
    """What is to be said of ranges that the recipe calls learned, and that no step moves."""
    if qat is None or qat.ranges != "learned" or qat.epochs == 0 or qat.ranges_frozen_from > 0:
        return []
    return [
        '[qat] ranges = "learned" with freeze_ranges_epoch = 0: ranges stay as the first images set them; '
        "omit freeze_ranges_epoch, or say 1 or more"
    ]


def begin_epoch(model: nn.Module, qat: Qat, epoch: int) -> None:
    """What moves in an epoch (0 is the first): batch norm statistics and ranges until their epochs of freezing."""
    half = qat.epochs // 2
    freeze_bn = epoch >= (half if qat.freeze_batch_norm_epoch is None else qat.freeze_batch_norm_epoch)
    freeze_ranges = epoch >= qat.ranges_frozen_from
    observe = qat.ranges == "moving_average" and not freeze_ranges
    set_phase(model, replace(TRAIN, observe=observe, live_norm=not freeze_bn, learn_ranges=not freeze_ranges))


def trained_outputs(model: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
    """What a prepared network gives in training: its outputs, with a point head those of `with_points`."""
    outputs = outputs_of(model, images)
    return with_points(outputs, model.at_points, model.points) if isinstance(model, QuantizedPointRend) else outputs


@torch.no_grad()
def observe_ranges(
    model: nn.Module,
    batches: Batches,
    normalize: Normalizer,
    count: int,
    device: torch.device,
    *,
    observed: nn.Module | None = None,
) -> None:
    """Set the first ranges: float passes over batches of epoch 0, batch norm by its running statistics.

    Args:
        observed: the part of the model whose ranges are set; None: all of it.
    """
    set_phase(model, FLOAT)
    set_phase(observed or model, CALIBRATE)
    model.train()
    for batch in islice(batches.epoch(0), count):
        trained_outputs(model, normalize(batch.images.to(device)))


def plain_images(split: Split, preprocess: Preprocess, count: int, seed: int) -> Tensor:
    """Up to `count` images of a split, drawn without repetition, not augmented: uint8 (n, height, width, 3)."""
    drawn = np.random.default_rng(seed).permutation(len(split))[:count]
    return torch.from_numpy(np.stack([resize(split.image(int(index)), preprocess) for index in drawn]))


class _Loss:
    """Weighted sum of the label loss and the divergence from the teacher."""

    def __init__(
        self,
        qat: Qat,
        model: nn.Module,
        teacher: nn.Module,
        normalize: Normalizer,
        losses: Objective,
        device: torch.device,
    ) -> None:
        self.qat, self.model, self.teacher, self.normalize, self.device = qat, model, teacher, normalize, device
        self.losses = losses

    def __call__(self, batch: Batch) -> Tensor:
        """The loss of a batch."""
        images = self.normalize(batch.images.to(self.device))
        outputs = trained_outputs(self.model, images)
        loss = torch.zeros((), device=self.device)
        if batch.targets is not None:
            loss = self.qat.label_weight * self.losses.from_targets(outputs, batch.targets.to(self.device))
        if self.qat.distillation_weight > 0:
            with torch.no_grad(), autocast(self.device, self.qat.bf16):
                told = outputs_of(self.teacher, images)
            divergence = self.losses.from_teacher(outputs, told, self.qat.temperature)
            loss = loss + self.qat.distillation_weight * divergence
        return loss
