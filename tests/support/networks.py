"""Networks of this package as trained ones look."""

import torch
from torch import Tensor, nn

from edge.recipe.recipe import Recipe
from edge.training.batch_norm import norms
from edge.training.network import float_module


def outputs_of(result: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What a network gives, as a tuple: a detector gives two tensors, the others one."""
    return result if isinstance(result, tuple) else (result,)


def with_statistics(recipe: Recipe) -> nn.Module:
    """The recipe's network, random, with batch norms that seem to have seen data; in evaluation mode."""
    torch.manual_seed(3)
    model = float_module(recipe)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):  # wide enough that the signal does not die on its way
            nn.init.kaiming_normal_(module.weight)
    for norm in norms(model):
        assert norm.running_mean is not None and norm.running_var is not None
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.3)
        norm.running_mean.normal_(std=0.3)
        norm.running_var.uniform_(0.2, 1.2)
    return model.eval()
