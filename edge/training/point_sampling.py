"""Points at which PointRend's head is trained (Kirillov et al., arXiv 1912.08193, section 3.1, "point selection").

k * N candidates are drawn uniformly; the beta * N most uncertain of them, where the two best classes of the coarse
logits are nearest, are kept, and the rest is drawn uniformly: k = 3, beta = 0.75 (section 4.1).
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from edge.training.losses import NO_CLASS

OVERSAMPLED = 3
IMPORTANT = 0.75


def sample_points(values: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of a map at points: float (n, c, h, w) and (n, p, 2) of x, y in [0, 1] to (n, c, p, 1)."""
    grid = 2 * points[:, :, None, :] - 1
    return functional.grid_sample(values.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)


@torch.no_grad()
def training_points(coarse: Tensor, count: int) -> Tensor:
    """Points for coarse logits (n, classes, h, w), drawn by torch's generator: float (n, count, 2), x, y in [0, 1]."""
    images, device = len(coarse), coarse.device
    candidates = torch.rand(images, OVERSAMPLED * count, 2, device=device)
    best = sample_points(coarse, candidates)[..., 0].topk(2, dim=1).values
    important = int(IMPORTANT * count)
    kept = (best[:, 1] - best[:, 0]).topk(important, dim=1).indices
    kept_points = candidates.gather(1, kept[:, :, None].expand(-1, -1, 2))
    return torch.cat([kept_points, torch.rand(images, count - important, 2, device=device)], dim=1)


def with_points(
    outputs: tuple[Tensor, ...], head: Callable[[Tensor, Tensor], Tensor], count: int
) -> tuple[Tensor, ...]:
    """Coarse logits, fine features and auxiliary logits to coarse and auxiliary logits, logits at points, the points.

    Args:
        head: fine features and coarse logits at points (n, c, p, 1) to logits (n, classes, p, 1).
    """
    coarse, fine, *auxiliary = outputs
    points = training_points(coarse, count)
    return coarse, *auxiliary, head(sample_points(fine, points), sample_points(coarse, points)), points


def targets_at(target: Tensor, points: Tensor) -> Tensor:
    """The class of the pixel that a point lies in: int64 masks (n, h, w) and points (n, p, 2) to (n, p)."""
    height, width = target.shape[1:]
    x = (points[:, :, 0] * width).long().clamp(max=width - 1)
    y = (points[:, :, 1] * height).long().clamp(max=height - 1)
    return target.flatten(1).gather(1, y * width + x)


def point_loss(logits: Tensor, points: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
    """Cross entropy of logits (n, classes, p, 1) at points, averaged as `edge.training.losses.label_loss` does."""
    wanted = targets_at(target, points)
    losses = functional.cross_entropy(
        logits[..., 0].float(), wanted, weight=weights, ignore_index=NO_CLASS, reduction="sum"
    )
    counted = (wanted != NO_CLASS).float()
    if weights is not None:
        counted = counted * weights[wanted.clamp(max=len(weights) - 1)]
    return losses / counted.sum().clamp(min=1e-6)
