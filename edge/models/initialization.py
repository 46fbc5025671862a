"""How the weights of a network begin: as the paper of the network, and within it that of each module, says."""

from collections.abc import Callable
from functools import partial
from typing import Literal

from torch import Tensor, nn

from edge.models.computed_convolution import ComputedConvolution
from edge.models.involution import Involution, start_kernels

Fan = Literal["fan_in", "fan_out"]
Draw = Callable[[Tensor], object]


def initialize_slim(model: nn.Module) -> None:
    """Initialize as TF-slim's MobileNets do: weights normal with deviation 0.09, cut at two deviations; biases zero."""
    initialize(model, (nn.Conv2d, nn.Linear), partial(nn.init.trunc_normal_, std=0.09, a=-0.18, b=0.18))


def initialize_he(model: nn.Module, mode: Fan) -> None:
    """He's normal initialization of every convolution (arXiv 1502.01852, section 2.2); biases zero."""
    initialize(model, (nn.Conv2d,), _he(mode))


def initialize(model: nn.Module, kinds: tuple[type[nn.Conv2d | nn.Linear], ...], draw: Draw) -> None:
    """Draw the weights of every layer of some kinds, in the network's order, and set their biases to zero.

    Computed convolutions start as their paper says; what makes the kernels of an involution starts alike in every
    network, by He and then `start_kernels`.
    """
    of_kernels = {module.expand for module in model.modules() if isinstance(module, Involution)}
    for module in model.modules():
        if isinstance(module, kinds) and not isinstance(module, ComputedConvolution):
            (_he("fan_out") if module in of_kernels else draw)(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    start_kernels(model)


def _he(mode: Fan) -> Draw:
    return partial(nn.init.kaiming_normal_, mode=mode, nonlinearity="relu")
