"""The models that can be named: in a recipe, in a checkpoint, on the command line."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from edge.errors import UsageError, unknown_name
from edge.models.deeplab import deeplab_mobilenet_v1, deeplab_mobilenet_v2
from edge.models.fast_scnn import fast_scnn
from edge.models.mobilenet_v1 import mobilenet_v1
from edge.models.mobilenet_v2 import mobilenet_v2
from edge.models.rednet import rednet
from edge.models.ssdlite import mobilenet_v1_ssdlite, mobilenet_v2_ssdlite

MODELS: dict[str, Callable[..., nn.Module]] = {
    "fast_scnn": fast_scnn,
    "deeplab_mobilenet_v1": deeplab_mobilenet_v1,
    "deeplab_mobilenet_v2": deeplab_mobilenet_v2,
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "rednet": rednet,
    "mobilenet_v1_ssdlite": mobilenet_v1_ssdlite,
    "mobilenet_v2_ssdlite": mobilenet_v2_ssdlite,
}
"""Name to builder. Builders take keyword arguments only and refuse what is out of range with `UsageError`; every
model has `task` ("classify", "segment" or "detect"), `input_shape` (1, 3, height, width) and `classes`, a segmenter
also `output_stride`, how many times smaller than the image its logits are, a detector `anchors`. The size of the input
is the argument `resolution_hw`, or `resolution` where it is square; parameters do not depend on it."""


def build(name: str, **arguments: Any) -> nn.Module:
    """Build a model by name; an unknown name or argument is refused with the nearest known one."""
    parameters = _parameters(name)
    for argument in arguments:
        if argument not in parameters:
            raise UsageError(f"model '{name}': {unknown_name('argument', argument, parameters)}")
    for parameter in parameters.values():
        if parameter.default is parameter.empty and parameter.name not in arguments:
            raise UsageError(f"model '{name}': '{parameter.name}' is missing")
    try:
        return MODELS[name](**arguments)
    except UsageError as error:
        raise UsageError(f"model '{name}': {error}") from None


def at_resolution(name: str, arguments: Mapping[str, Any], size_hw: tuple[int, int]) -> dict[str, Any]:
    """The arguments of a network for another size of its input, height and width in pixels.

    Raises:
        UsageError: an unknown name, a size that the network cannot take, or one that is not square where it must be.
    """
    height, width = size_hw
    if "resolution_hw" in _parameters(name):
        sized = {**arguments, "resolution_hw": [height, width]}
    elif height == width:
        sized = {**arguments, "resolution": height}
    else:
        raise UsageError(f"model '{name}' takes square images; {height}x{width} is not square")
    with torch.device("meta"):  # refused by its builder, without a weight being drawn
        build(name, **sized)
    return sized


def _parameters(name: str) -> Mapping[str, inspect.Parameter]:
    if name not in MODELS:
        raise UsageError(unknown_name("model", name, MODELS))
    return inspect.signature(MODELS[name]).parameters


def task_of(name: str) -> str:
    """What a model is for. Refuses (UsageError) an unknown name, with the nearest one."""
    with torch.device("meta"):
        return str(build(name, classes=2).task)


def models_of(task: str) -> list[str]:
    """The names of the models for a task."""
    return [name for name in MODELS if task_of(name) == task]
