"""Steps that multiply the weights of an output channel, integers as they are: a factor of its scale, and its bias.

Where a weight has one scale the rows of `batch_norm` are rounded again, and `scales` has one factor for all of them.

An activation's scale given its integers needs no step of its own: a factor of what a layer's output integers stand for
is that factor of all its weight scales, which the layers behind then read.
"""

import torch
from torch import Tensor

from edge.quantization.ptq.layer_rows import Layer
from edge.quantization.qat.fake_quant import fake_quantize_weight, weight_scales
from edge.quantization.qat.least_squares import mean_error, products

MOST = 2.0
"""Of a factor, and its inverse the least."""


def with_moments(layer: Layer) -> tuple[Tensor | None, Tensor]:
    """Weight and bias with which every output channel has the float network's mean and standard deviation.

    Re-estimated batch norm, as it is on a network whose batch norms are folded: with the statistics of the rounded
    network in the place of the float one's a batch norm gives mean beta and deviation gamma again, which is what the
    float network has, and folding it multiplies the weights of a channel and moves its bias (Nagel et al., arXiv
    2203.11086, section 5.1; statistics before the rectifier, all positions alike).
    """
    wanted, found = layer.rows.outputs, products(layer.rounded, layer.rows)
    weight = _scaled(layer, wanted.std(dim=0, correction=0), found.std(dim=0, correction=0))
    return weight, (wanted - products(_on_grid(layer, weight), layer.rows)).mean(dim=0)


def with_scales(layer: Layer) -> tuple[Tensor | None, Tensor]:
    """Weight and bias of the least squared error of the output among all scales, the integers given.

    The regression of the wanted outputs on those of the integers, positions weighted by what the rectifier shows
    (`least_squares.visibility`): a channel with much noise is damped, where `with_moments` keeps its deviation.
    """
    share = layer.rows.weights / layer.rows.weights.sum(dim=0)
    found = products(layer.rounded, layer.rows)
    found, wanted = (value - (share * value).sum(dim=0) for value in (found, layer.rows.outputs))
    both, own = (share * found * wanted).sum(dim=0), (share * found * found).sum(dim=0)
    if layer.granularity == "per_tensor":
        both, own = both.sum().expand_as(both), own.sum().expand_as(own)
    weight = _scaled(layer, both, own)
    return weight, mean_error(_on_grid(layer, weight), layer.rows)


def _scaled(layer: Layer, wanted: Tensor, found: Tensor) -> Tensor:
    """The weight as it is, rows times wanted / found (O,) within MOST; 1 where nothing is found."""
    factor = torch.where(found > 1e-12, wanted / found.clamp(min=1e-12), 1.0).clamp(1 / MOST, MOST)
    return layer.current * factor.reshape(-1, *(1,) * (layer.current.dim() - 1))


def _on_grid(layer: Layer, weight: Tensor) -> Tensor:
    return fake_quantize_weight(weight, weight_scales(weight, layer.bias, layer.input_scale, layer.granularity))
