"""Named networks of given arguments, with their counts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from edge.errors import UsageError, unknown_name
from edge.models.count import count_module
from edge.models.point_head import point_head_of
from edge.models.registry import MODELS, build


@dataclass(frozen=True, kw_only=True)
class ListedModel:
    """One network: the name and arguments that build it, input width and height in pixels, and counts for one image.

    A point head counts with all steps of a prediction.
    unruled: layers without a rule, which are not in the multiply-adds.
    """

    model: str
    arguments: dict[str, Any]
    resolution_wh: tuple[int, int]
    parameters: int
    multiply_adds: int
    unruled: tuple[str, ...]


def list_models(grid: Sequence[tuple[str, dict[str, Any]]], names: Sequence[str] = ()) -> list[ListedModel]:
    """Count every network of a grid of (name, arguments), in its order.

    Args:
        names: only these networks; none means all. An unknown one is refused with the nearest name (UsageError).
    """
    for name in names:
        if name not in MODELS:
            raise UsageError(unknown_name("model", name, MODELS))
    listed = []
    for name, arguments in grid:
        if names and name not in names:
            continue
        with torch.device("meta"):  # shapes are enough: no weight is ever drawn
            model = build(name, **arguments)
        cost = count_module(model)
        if (head := point_head_of(model)) is not None:
            of_step = count_module(head)
            cost = replace(
                cost,
                parameters=cost.parameters + of_step.parameters,
                multiply_adds=cost.multiply_adds + head.steps * of_step.multiply_adds,
            )
        *_, height, width = model.input_shape  # type: ignore[misc]  # every model here has it, nn.Module does not say
        listed.append(
            ListedModel(
                model=name,
                arguments=arguments,
                resolution_wh=(width, height),
                parameters=cost.parameters,
                multiply_adds=cost.multiply_adds,
                unruled=cost.unruled,
            )
        )
    return listed
