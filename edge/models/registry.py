"""The models that can be named: in a recipe, in a checkpoint, on the command line."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from edge.errors import UsageError, unknown_name
from edge.models.deeplab import deeplab_mobilenet_v1, deeplab_mobilenet_v2
from edge.models.fast_scnn import fast_scnn
from edge.models.mobilenet_v1 import mobilenet_v1
from edge.models.mobilenet_v2 import mobilenet_v2

MODELS: dict[str, Callable[..., nn.Module]] = {
    "fast_scnn": fast_scnn,
    "deeplab_mobilenet_v1": deeplab_mobilenet_v1,
    "deeplab_mobilenet_v2": deeplab_mobilenet_v2,
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
}
"""Name to builder. Builders take keyword arguments only and refuse what is out of range with `UsageError`; every
model has `task` ("classify" or "segment"), `input_shape` (1, 3, height, width) and `classes`."""


def build(name: str, **arguments: Any) -> nn.Module:
    """Build a model by name; an unknown name or argument is refused with the nearest known one."""
    if name not in MODELS:
        raise UsageError(unknown_name("model", name, MODELS))
    parameters = inspect.signature(MODELS[name]).parameters
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


def task_of(name: str) -> str:
    """What a model is for. Refuses (UsageError) an unknown name, with the nearest one."""
    with torch.device("meta"):
        return str(build(name, classes=2).task)


def models_of(task: str) -> list[str]:
    """The names of the models for a task."""
    return [name for name in MODELS if task_of(name) == task]
