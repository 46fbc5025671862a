"""The first layers of a network, held as they were loaded: what few images would sooner spoil than improve.

Edges and colours are the same in photographs of anything (Yosinski et al., arXiv 1411.1792), and the first layers have
the largest maps: they take most of a training step's time.
"""

from itertools import islice

from torch import nn

from edge.errors import UsageError
from edge.models.point_head import point_head_of


def first_layers(model: nn.Module, blocks: int) -> list[nn.Module]:
    """The stem and so many blocks of a backbone; none for 0.

    Raises:
        UsageError: a network without such layers, or with fewer.
    """
    if blocks == 0:
        return []
    found = getattr(model, "blocks", None)
    if not isinstance(found, nn.ModuleList | nn.Sequential) or not isinstance(getattr(model, "stem", None), nn.Module):
        raise UsageError(f"[train] frozen_blocks: {type(model).__name__} is no row of blocks behind a stem; omit it")
    if blocks > len(found):
        raise UsageError(f"[train] frozen_blocks = {blocks}; {type(model).__name__} has {len(found)} blocks")
    return [model.get_submodule("stem"), *islice(found, blocks)]


def all_but_point_head(model: nn.Module) -> list[nn.Module]:
    """Every part of a network but its point head. Refuses (UsageError) a network without one."""
    head = point_head_of(model)
    if head is None:
        raise UsageError(f"[train] point_head_only: {type(model).__name__} was built without one; omit it")
    return [part for part in model.children() if part is not head]


def freeze(layers: list[nn.Module]) -> None:
    """No gradient, and no optimizer that moves them; their batch norm is `edge.training.batch_norm.hold_still`'s."""
    for layer in layers:
        layer.requires_grad_(False)
