"""Images made from a network's batch-norm statistics, for calibration without any data.

A batch norm keeps the mean and variance that each channel of its input had on the training images. Images are moved by
gradients until the channels have them again (Cai et al., ZeroQ, arXiv 2001.00281, eq. 3), every pixel within what a
camera gives. What moves are not pixels but smooth waves of several sizes, whose sum an image is: pixels of their own
would learn patterns that no camera sees. What a range is, and which channel is large, is then nearly what it is on the
training images; what is in an image is not.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

Norm = nn.modules.batchnorm._BatchNorm
BATCH_IMAGES = 10
ITERATIONS = 40
LEARNING_RATE = 0.15
OCTAVES = (2, 4, 8, 16, 32)
"""Values across an image of the waves, normal noise at first."""


def made_images(
    model: nn.Module,
    norms: Sequence[Norm],
    *,
    count: int,
    lows: Tensor,
    highs: Tensor,
    size_hw: tuple[int, int],
    seed: int,
    advance: Callable[[int, int], None],
) -> npt.NDArray[np.float32]:
    """Some images on which the inputs of batch norms have the statistics that these keep: float32 (count, 3, h, w).

    Args:
        model: float; its parameters are kept, gradients of them switched off, and it is left in evaluation mode.
        norms: of the model, with statistics of data.
        lows, highs: of every channel of the input, (3,).
        advance: is told how many steps of how many are done.
    """
    model.eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    seen: dict[Norm, Tensor] = {}  # those that an answer needs: heads of training do not run
    hooks = [norm.register_forward_pre_hook(lambda module, given: seen.update({module: given[0]})) for norm in norms]
    low, span = lows.reshape(1, 3, 1, 1), (highs - lows).reshape(1, 3, 1, 1)
    sizes = [min(BATCH_IMAGES, count - start) for start in range(0, count, BATCH_IMAGES)]
    parts = []
    try:
        for number, size in enumerate(sizes):
            waves = _waves(size, size_hw, generator)
            optimizer = torch.optim.Adam(waves, lr=LEARNING_RATE)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, ITERATIONS)
            for step in range(ITERATIONS):
                seen.clear()
                model(low + span * _drawn(waves, size_hw))
                error = torch.stack([_distance(norm, value) for norm, value in seen.items()]).mean()
                optimizer.zero_grad(set_to_none=True)
                error.backward()  # type: ignore[no-untyped-call]  # torch's stub
                optimizer.step()
                schedule.step()
                advance(number * ITERATIONS + step + 1, len(sizes) * ITERATIONS)
            parts.append((low + span * _drawn(waves, size_hw)).detach().numpy())
    finally:
        for hook in hooks:
            hook.remove()
    return np.concatenate(parts)


def _distance(norm: Norm, value: Tensor) -> Tensor:
    """How far a batch norm's input (n, c, ...) is from its statistics, in their deviations: mean over channels."""
    assert norm.running_mean is not None and norm.running_var is not None
    deviation = (norm.running_var + norm.eps).sqrt()
    flat = value.transpose(0, 1).flatten(1)
    means = (flat.mean(dim=1) - norm.running_mean) / deviation
    deviations = (flat.var(dim=1, correction=0) + norm.eps).sqrt() / deviation - 1
    distance: Tensor = (means.square() + deviations.square()).mean()
    return distance


def _waves(count: int, size_hw: tuple[int, int], generator: torch.Generator) -> list[Tensor]:
    """Normal noise of several sizes, to be moved: float32 (count, 3, n, n) each."""
    sizes = [across for across in OCTAVES if across <= max(min(size_hw) // 2, OCTAVES[0])]
    return [torch.randn((count, 3, across, across), generator=generator).requires_grad_() for across in sizes]


def _drawn(waves: Sequence[Tensor], size_hw: tuple[int, int]) -> Tensor:
    """Their sum as an image in [0, 1]: float32 (count, 3, h, w)."""
    parts = [functional.interpolate(wave, size=size_hw, mode="bilinear", align_corners=False) for wave in waves]
    total: Tensor = torch.stack(parts).sum(dim=0) / len(parts) ** 0.5
    return total.sigmoid()
