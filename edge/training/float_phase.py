"""The float phase: the network of the recipe on labels or masks."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from edge.data.model_classes import labels_of
from edge.data.splits import Split
from edge.errors import UsageError
from edge.models.point_head import point_head_of
from edge.models.pretrained import LoadedWeights, load_pretrained
from edge.port import Scores
from edge.recipe.recipe import Recipe
from edge.recipe.recipe_file import expand
from edge.training.batch_norm import estimate_statistics, hold_still, norms, without_statistics
from edge.training.batches import Batch, Batches, KeptSamples, Normalizer
from edge.training.bfloat16 import autocast
from edge.training.box_prior import start_from_prior
from edge.training.checkpoint import Checkpoint
from edge.training.evaluate import evaluate
from edge.training.frozen_layers import all_but_point_head, first_layers, freeze
from edge.training.loop import Job
from edge.training.network import float_module, input_size_hw, load_tensors
from edge.training.objectives import Objective, Trained, objective, outputs_of
from edge.training.point_sampling import with_points
from edge.training.probe_head import check_probe, probe_images, start_from_probe
from edge.training.progress import Reporter
from edge.training.versions import versions

FLOAT_NAME = "float.safetensors"
STATISTICS_BATCHES = 32


def float_job(
    recipe: Recipe, train: Split, val: Split | None, reporter: Reporter, kept: KeptSamples | None = None
) -> Job:
    """Everything the loop needs for the float phase.

    Args:
        kept: the training samples that other phases decoded (`Batches`).

    Raises:
        UsageError: recipe, network and splits do not fit together.
    """
    phase = recipe.train
    check_fit(recipe, float_module(recipe), train, val)
    device = training_device()
    torch.manual_seed(phase.seed)
    model = float_module(recipe, phase.crop_hw)
    result = float_module(recipe)
    loaded: LoadedWeights | None = None
    if phase.init is not None:
        anew = phase.reset_head or phase.head == "probe"
        loaded = load_pretrained(model, expand(phase.init, recipe.data.root), reinitialize_head=anew)
    for module in (model, result):
        module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
    frozen = all_but_point_head(model) if phase.point_head_only else first_layers(model, phase.frozen_blocks)
    freeze(frozen)
    batches = Batches(
        train,
        recipe.preprocess,
        phase,
        size_hw=phase.crop_hw or (recipe.preprocess.height, recipe.preprocess.width),
        kept=kept,
        workers=recipe.data.workers,
        with_targets=phase.epochs > 0,
    )
    shown = Trained(model=model, train=train, scores=train.scores, device=device, on_targets=phase.epochs > 0)
    if phase.head == "probe":
        check_probe(model, train)
    steps = _FloatPhase(
        recipe=recipe,
        train=train,
        val=val,
        model=model,
        result=result,
        loaded=loaded,
        frozen=frozen,
        batches=batches,
        normalize=Normalizer(recipe.preprocess),
        losses=objective(phase, shown),
        folded=bool(without_statistics(model)),
        reporter=reporter,
    )
    return Job(
        phase=phase,
        result_name=FLOAT_NAME,
        model=model,
        batches=batches,
        loss=steps.loss,
        begin=steps.begin,
        begin_epoch=steps.begin_epoch,
        evaluate=steps.evaluated,
        checkpoint=steps.checkpoint,
    )


@dataclass(frozen=True, kw_only=True)
class _FloatPhase:
    """The steps of the phase, with what they share.

    Attributes:
        model, result: what is trained, and the network of the model's own input size that carries the result.
        loaded: the weights it started from.
        frozen: the layers that stay as they are.
        folded: the weights, or those of a backbone, came with batch norm folded into them.
    """

    recipe: Recipe
    train: Split
    val: Split | None
    model: nn.Module
    result: nn.Module
    loaded: LoadedWeights | None
    frozen: list[nn.Module]
    batches: Batches
    normalize: Normalizer
    losses: Objective
    folded: bool
    reporter: Reporter

    def begin(self) -> None:
        """The first weights: statistics of folded batch norm, a head by a linear probe."""
        phase = self.recipe.train
        if self.folded and phase.epochs > 0:
            if phase.freeze_batch_norm_epoch in (None, 0):
                self.reporter.say("batch norm is folded into the weights: its statistics stay frozen")
            else:
                give_statistics(self.model, self.batches, self.normalize, self.reporter)
        if phase.score_loss == "focal" and (self.loaded is None or self.loaded.head == "initialized"):
            start_from_prior(self.model)
        if phase.head == "probe":
            self.reporter.start("linear probe", len(probe_images(self.train, phase.seed)))
            probe = start_from_probe(
                self.model,
                self.train,
                self.recipe.preprocess,
                phase.seed,
                mirrored=phase.augment.flip > 0,
                pretrained=None if self.loaded is None else self.loaded.classifier,
                advance=lambda n: self.reporter.advance(n),
            )
            self.reporter.say(f"linear probe: {probe.told} on the training images, cross-validated")

    def begin_epoch(self, epoch: int) -> None:
        """Batch norm statistics move until their epoch of freezing; where none is said, folded ones never do."""
        frozen_from = self.recipe.train.freeze_batch_norm_epoch
        if frozen_from is None:
            hold_still(without_statistics(self.model))
        elif epoch >= frozen_from:
            hold_still(norms(self.model))
        for layer in self.frozen:
            hold_still(norms(layer))

    def loss(self, batch: Batch) -> Tensor:
        """The loss of a batch, auxiliary heads included."""
        phase, device = self.recipe.train, next(self.model.parameters()).device
        images = self.normalize(batch.images.to(device))
        with autocast(device, phase.bf16):
            outputs = self._outputs(images)
        assert batch.targets is not None
        return self.losses.from_targets(outputs, batch.targets.to(device))

    def _outputs(self, images: Tensor) -> tuple[Tensor, ...]:
        head = point_head_of(self.model)
        if self.recipe.train.auxiliary_weight == 0:
            outputs = outputs_of(self.model, images)
        else:
            outputs = self.model.forward_with_auxiliary(images)  # type: ignore[operator]  # check_fit asked for it
        return outputs if head is None else with_points(outputs, head.at_points, head.points)

    def evaluated(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Any]:
        """The metrics of these tensors."""
        load_tensors(self.result, tensors, "float phase")
        return validated(self.result, self.val, self.recipe, self.reporter)

    def checkpoint(self, tensors: Mapping[str, Tensor], metrics: Mapping[str, Any]) -> Checkpoint:
        """The checkpoint of these tensors."""
        load_tensors(self.result, tensors, "float phase")
        labelled = self.val if self.val is not None and not self.train.classes else self.train
        return Checkpoint(
            kind="float",
            recipe=self.recipe,
            tensors=self.result.state_dict(),
            labels=labels_of(labelled),
            metrics=metrics,
            scores=labelled.scores,
            versions=versions(),
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
        size = f"{recipe.preprocess.height}x{recipe.preprocess.width} (height x width)"
        raise UsageError(f"[preprocess] is {size}, but {recipe.model.name} takes {height}x{width}")
    if recipe.train.crop_hw is not None and train.has_boxes:
        raise UsageError("[train] crop_hw: boxes are trained at the model's input, whose anchors they match; omit it")
    if recipe.train.auxiliary_weight > 0 and not hasattr(model, "forward_with_auxiliary"):
        raise UsageError(f"[train] auxiliary_weight: {recipe.model.name} has no auxiliary heads; omit it")
    for split in (train, val):
        if split is None or not split.has_targets:
            continue
        if split.task != model.task:
            raise UsageError(f"{split.origin} is for '{split.task}', {recipe.model.name} for '{model.task}'")
        if len(split.classes) != model.classes:
            found = f"{split.origin} has {len(split.classes)} classes, [model] classes = {model.classes}"
            raise UsageError(f"{found}; `classes = classes.txt` beside `images` names them, and which is void")
        if split.scores != (scores or split.scores):
            raise UsageError(f"{split.origin} has {split.scores} labels, and the network is for {scores} ones")
        scores = split.scores
