"""The range of a weight by least squared error: its largest values are cut where that rounds the others better.

Of a channel's weights alone, without images (range estimation by mean squared error as in arXiv 2106.08295, section
3.1, for weights): with many weights the largest cost less cut than the others coarsely rounded; with few, as in
depthwise kernels, some scale among many suits all of them.
"""

import torch
from torch import Tensor

from edge.artifact.scheme import WEIGHT_MAX, Granularity
from edge.quantization.ptq.layer_rows import layers_of
from edge.quantization.ptq.state import State
from edge.quantization.qat.fake_quant import weight_scales

SHARES = (1.0, *torch.linspace(1.006, 0.994, 49).tolist(), *torch.linspace(0.99, 0.7, 59).tolist())
"""Of the largest magnitude that are tried as the end of the range; within 0.4 % of it the largest weight itself is off
by less than half a step."""


def clipped(state: State) -> State:
    """The state with every layer's weight on the grid of the least squared error."""
    constants = {}
    for layer in layers_of(state.real):
        weight, bias = (torch.from_numpy(state.graph.constant(name).copy()) for name in layer.inputs[1:3])
        granularity = state.scheme.weight_granularity
        found = least_error(weight, granularity)
        floor = weight_scales(weight, bias, float(state.parameters[layer.inputs[0]][0]), granularity)
        dead = floor > weight_scales(weight, None, None, granularity)  # a channel without weight worth the name
        constants[layer.inputs[1]] = torch.where(_column(dead, weight), weight, found).numpy()
    return state.with_constants(constants)


def least_error(weight: Tensor, granularity: Granularity) -> Tensor:
    """A weight (O, ...) on the grid that errs least of those of SHARES, its largest value the end of the range."""
    largest = weight_scales(weight, None, None, granularity)
    ends = weight.abs() == (weight.abs().amax() if granularity == "per_tensor" else _column(
        weight.flatten(1).abs().amax(dim=1), weight
    ))  # fmt: skip
    best, least = weight, torch.full_like(largest, torch.inf)
    for share in SHARES:
        scale = _column(largest * share, weight)
        integers = torch.round(weight / scale).clamp_(-WEIGHT_MAX, WEIGHT_MAX)
        candidate = torch.where(ends, WEIGHT_MAX * weight.sign(), integers) * scale
        error = (candidate - weight).double().square().flatten(1).sum(dim=1).float()
        error = error if granularity == "per_channel" else error.sum().expand_as(error)
        better = error < least
        best, least = torch.where(_column(better, weight), candidate, best), torch.where(better, error, least)
    return best


def _column(values: Tensor, weight: Tensor) -> Tensor:
    return values.reshape(-1, *(1,) * (weight.dim() - 1))
