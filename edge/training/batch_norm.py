"""Batch norm of weights that came without statistics: recognized, held still, or given those of the training images.

Folded weights are loaded as scale 1, shift = the bias, mean 0 and variance 1 - eps (`edge.models.pretrained`). That is
exact in evaluation; trained on with the statistics of each batch, such a network computes something else from the first
step on and learns nothing.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

Norm = nn.modules.batchnorm._BatchNorm


def without_statistics(model: nn.Module) -> list[Norm]:
    """The batch norms whose statistics are those of no data: mean 0 and variance 1 - eps in every channel."""
    return [norm for norm in norms(model) if _made_up(norm)]


def norms(model: nn.Module) -> Iterator[Norm]:
    """All batch norms of a network."""
    return (module for module in model.modules() if isinstance(module, Norm))


def hold_still(held: Iterable[Norm]) -> None:
    """Normalize by the running statistics in training too, and leave them as they are; scale and shift still learn."""
    for norm in held:
        norm.eval()


@torch.no_grad()
def estimate_statistics(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Give every batch norm without statistics those of its inputs; what the network computes stays the same.

    A norm that gave x + shift gives scale * (x - mean) / deviation + shift' with scale = deviation and
    shift' = shift + mean, so that training with the statistics of batches starts where the weights are.

    Args:
        batches: normalized images, float (n, 3, h, w); the mode of the network does not matter and is kept.
    """
    wanted = without_statistics(model)
    sums = {norm: torch.zeros(3, norm.num_features, dtype=torch.float64) for norm in wanted}

    def seen(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, Norm)
        x = inputs[0].double().transpose(0, 1).flatten(1)  # (channels, values)
        count = torch.full((len(x),), x.shape[1], dtype=torch.float64)
        sums[norm] += torch.stack([count, x.sum(1).cpu(), x.square().sum(1).cpu()])

    hooks = [norm.register_forward_pre_hook(seen) for norm in wanted]
    training = model.training
    model.eval()
    try:
        for images in batches:
            model(images)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    for norm in wanted:
        count, total, squares = sums[norm]
        mean = total / count
        variance = (squares / count - mean.square()).clamp(min=0.0)
        assert norm.running_mean is not None and norm.running_var is not None  # `_made_up` saw them
        device = norm.weight.device
        norm.weight.mul_((variance + norm.eps).sqrt().to(device))
        norm.bias.add_(mean.to(device))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


def _made_up(norm: Norm) -> bool:
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        return False
    return bool((mean == 0).all()) and bool((variance == torch.full_like(variance, 1.0 - norm.eps)).all())
