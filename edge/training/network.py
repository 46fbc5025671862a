"""The network of a recipe: plain, for any size it allows, or prepared for quantization-aware training."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from edge.artifact.scheme import input_range
from edge.errors import EdgeError
from edge.models.point_head import point_head_of
from edge.models.registry import build
from edge.port import Scores
from edge.quantization.qat.phase import TRAIN_FROZEN
from edge.quantization.qat.point_rend import QuantizedPointRend, prepare_point_rend
from edge.quantization.qat.prepare import QatOptions, QuantizedModel, prepare_qat, set_phase
from edge.recipe.recipe import Recipe
from edge.vision.pixels import normalize_table

OF_DETECTORS = ("anchors", "scores")
"""Attributes of a network that an evaluation needs besides its outputs."""


def float_module(recipe: Recipe, size_hw: tuple[int, int] | None = None) -> nn.Module:
    """The recipe's network, untrained, for the model's input size or another one.

    A network whose recipe gives `resolution_hw` is built for the size; the MobileNets are the same at any size.
    """
    arguments = recipe.model.arguments
    if size_hw is not None and "resolution_hw" in arguments:
        arguments["resolution_hw"] = list(size_hw)
    return build(recipe.model.name, **arguments)


def prepared_module(recipe: Recipe, model: nn.Module) -> QuantizedModel | QuantizedPointRend:
    """A copy of a float network, prepared by the recipe's scheme and `[qat]`, fake-quantizing, nothing observed yet.

    The range of the input follows from the preprocessing, not from images.
    """
    ranges = recipe.qat.ranges if recipe.qat is not None else "moving_average"
    options = QatOptions(ranges=ranges, input_range=input_range(normalize_table(recipe.preprocess), recipe.scheme))
    example = torch.zeros(1, 3, recipe.preprocess.height, recipe.preprocess.width)
    head = point_head_of(model)
    if head is not None:
        points = prepare_point_rend(model.eval(), head, example, recipe.scheme, options)
        set_phase(points, TRAIN_FROZEN)
        return points
    prepared = prepare_qat(model.eval(), example, recipe.scheme, options)
    set_phase(prepared, TRAIN_FROZEN)
    for name in OF_DETECTORS:
        if hasattr(model, name):
            setattr(prepared, name, getattr(model, name))
    return prepared


def anchor_scores(model: nn.Module) -> Scores | None:
    """What the scores of a detector's anchors are; None of a network without anchors."""
    found: Scores | None = getattr(model, "scores", None)
    return found


def input_size_hw(model: nn.Module) -> tuple[int, int]:
    """Height and width of a network's input."""
    shape = model.input_shape
    assert isinstance(shape, tuple)
    return int(shape[2]), int(shape[3])


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
