"""The exponential moving average of a network's state, which is what a phase leaves behind."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Average:
    """The running average of every floating-point tensor of a state dict; other tensors are copied.

    At update t (1 is the first) the old average keeps min(decay, t / (t + 9)), so that early steps do not linger
    (TensorFlow, ExponentialMovingAverage, `num_updates`).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.tensors: dict[str, Tensor] = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move towards the network's present state."""
        self.updates += 1
        keep = min(self.decay, self.updates / (self.updates + 9))
        averages: list[Tensor] = []
        values: list[Tensor] = []
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                averages.append(self.tensors[name])
                values.append(tensor.detach())
            else:
                self.tensors[name].copy_(tensor)
        if averages:
            torch._foreach_lerp_(averages, values, 1.0 - keep)

    def restore(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Go on from a saved average."""
        self.updates = updates
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])
