"""Another input size of a trained network: the weights as they are, windows, padding and preprocessing follow.

Fast-SCNN's paper evaluates its network so ("subsampled inputs, without any network modifications", Poudel et al., arXiv
1902.04502, section 4), and MobileNet's resolution multiplier is this with training at each size (Howard et al., arXiv
1704.04861, section 3.4).
"""

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from edge.errors import UsageError
from edge.models.registry import at_resolution
from edge.quantization.ptq.calibrate import bounded, collect
from edge.quantization.ptq.estimators import Estimator, estimate
from edge.quantization.qat.activation_quantizer import ActivationQuantizer
from edge.quantization.qat.freeze import trained_graph
from edge.quantization.qat.point_rend import QuantizedPointRend
from edge.quantization.qat.prepare import QuantizedModel
from edge.recipe.recipe import Model
from edge.recipe.recipe_file import overrides_between, read_recipe
from edge.recipe.shipped_recipes import find_recipe, shipped_recipes
from edge.training.checkpoint import Checkpoint, restore_module
from edge.training.network import float_module
from edge.vision.map_positions import displaced, size_text
from edge.vision.preprocess import Preprocess

Batches = Iterable[npt.NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Observation:
    """Where the ranges of a QAT checkpoint come from at another size.

    Attributes:
        batches: from the preprocessing at that size to images as the model sees them, float32 (n, 3, h, w). Read once.
        estimator: how a range follows from the values.
    """

    batches: Callable[[Preprocess], Batches]
    estimator: Estimator = "mse"


def at_size(checkpoint: Checkpoint, size_hw: tuple[int, int], observation: Observation | None = None) -> Checkpoint:
    """A checkpoint for another input size, height and width in pixels; itself at the size of its recipe.

    Every weight stays. What a QAT checkpoint learned of its activations' ranges held for one size: they are observed
    again, on its trained weights in float.

    Raises:
        UsageError: a size that the network cannot take; a QAT checkpoint without images to observe its ranges on, or
            images where nothing is observed: for a float checkpoint, and at the size of the recipe.
    """
    recipe, asked = checkpoint.recipe, f"--input-size {size_text(size_hw)}"
    trained = (recipe.preprocess.height, recipe.preprocess.width)
    if observation is not None and checkpoint.kind == "float":
        raise UsageError(f"{asked}: a float checkpoint has no ranges to observe; omit --calibration")
    if size_hw == trained:
        if observation is not None:
            raise UsageError(f"{asked}: is the size of the training, whose ranges stay; omit --calibration")
        return checkpoint
    opened = sized(checkpoint, size_hw)
    if checkpoint.kind == "qat" and observation is None:
        raise UsageError(
            f"{asked}: the ranges of this checkpoint were trained at {size_text(trained)}; name images to observe them "
            "on again with --calibration SPLIT (of `edge convert` or `edge eval`), or take the float checkpoint"
        )
    return opened if observation is None else _observed(opened, observation)


def sized(checkpoint: Checkpoint, size_hw: tuple[int, int]) -> Checkpoint:
    """A checkpoint with the recipe of another size, every tensor as it is: of a QAT one the ranges hold no more.

    Raises:
        UsageError: a size that the network cannot take.
    """
    recipe = checkpoint.recipe
    height, width = size_hw
    if size_hw == (recipe.preprocess.height, recipe.preprocess.width):
        return checkpoint
    try:
        arguments = at_resolution(recipe.model.name, recipe.model.arguments, size_hw)
    except UsageError as error:
        raise UsageError(f"--input-size {size_text(size_hw)}: {error}") from None
    preprocess = Preprocess.model_validate({**recipe.preprocess.model_dump(), "height": height, "width": width})
    model = Model(name=recipe.model.name, **arguments)
    other = recipe.model_copy(update={"model": model, "preprocess": preprocess})
    return replace(checkpoint, recipe=other, trained_recipe=recipe)


def _observed(checkpoint: Checkpoint, observation: Observation) -> Checkpoint:
    """The same with ranges from images."""
    module = restore_module(checkpoint)
    if isinstance(module, QuantizedPointRend):
        size = size_text((checkpoint.recipe.preprocess.height, checkpoint.recipe.preprocess.width))
        raise UsageError(
            f"--input-size {size}: a point head was trained on the integers of one size; take the float checkpoint "
            "with `edge quantize`"
        )
    assert isinstance(module, QuantizedModel)  # of a checkpoint of kind `qat`
    scheme, preprocess = checkpoint.recipe.scheme, checkpoint.recipe.preprocess
    quantizers = [part for part in module.quantizers.values() if isinstance(part, ActivationQuantizer)]
    observed = [quantizer for quantizer in quantizers if not quantizer.constant]
    histograms = collect(
        trained_graph(module),
        [quantizer.group for quantizer in observed],
        observation.batches(preprocess),
        bounds_only=observation.estimator == "minmax",
    )
    for quantizer in observed:
        found = estimate(observation.estimator, histograms[quantizer.group.name], scheme)
        quantizer.set_range(*bounded(quantizer.group, found))
    module.hold_limits()
    return replace(checkpoint, tensors=module.state_dict())


def size_note(checkpoint: Checkpoint) -> str | None:
    """What to know of a checkpoint at another size than it was trained at, in one line; None where there is nothing."""
    if checkpoint.trained_hw is None:
        return None
    with torch.device("meta"):
        stride = int(getattr(float_module(checkpoint.recipe), "output_stride", 1))
    preprocess = checkpoint.recipe.preprocess
    return displaced((preprocess.height, preprocess.width), checkpoint.trained_hw, stride)


def recipe_line(checkpoint: Checkpoint, size_hw: tuple[int, int]) -> str:
    """The command that trains the checkpoint's recipe at a size: its input, and training images in proportion.

    What the checkpoint was trained with beside the shipped recipe (`--set model.attention=gct`) stands in it.
    """
    recipe, wanted = checkpoint.recipe, sized(checkpoint, size_hw).recipe
    if recipe.train.crop_hw is not None and size_hw != (recipe.preprocess.height, recipe.preprocess.width):
        sides = zip(recipe.train.crop_hw, size_hw, (recipe.preprocess.height, recipe.preprocess.width), strict=True)
        crop = [max(8, 8 * round(side * now / before / 8)) for side, now, before in sides]
        wanted = wanted.model_copy(update={"train": recipe.train.model_copy(update={"crop_hw": tuple(crop)})})
    shipped = recipe.name in {known.name for known in shipped_recipes()}
    base = read_recipe(find_recipe(recipe.name)) if shipped else recipe
    changes = (f"--set {shlex.quote(override)}" for override in overrides_between(base, wanted))
    return " ".join([f"edge train {recipe.name if shipped else 'RECIPE.toml'}", *changes])
