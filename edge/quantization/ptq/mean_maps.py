"""Biases that make up for what the rounding of weights alone does to the mean of every layer's output.

The mean over images of a layer's output is the layer of the mean of its input, as long as no rectifier stands between:
one pass of the float network gives every mean, and what rounding the weights adds to it is the layer with the
difference of the weights (Nagel et al., arXiv 1906.04721, section 4.2, without its assumption of normal inputs).
Roundings of activations are left out; `weights.corrected_bias` sees them, layer by layer.
"""

import numpy as np
import torch

from edge.quantization.ptq.layer_rows import layers_of, without_rectifiers
from edge.quantization.ptq.observation import Observation
from edge.quantization.ptq.rounded import Network, RoundedNetwork
from edge.quantization.ptq.state import Float32Array, State


@torch.no_grad()
def with_mean_outputs(state: State, seen: Observation) -> State:
    """The state with biases that give each layer, on its float input, the mean output of the float network's weights.

    Args:
        seen: of `state.real`, with the means of what layers read.
    """
    layers = layers_of(state.real)
    bare, rounded = Network(without_rectifiers(state.real)), RoundedNetwork(state)
    operators = {operator.name: operator for operator in bare.graph.operators}
    biases: dict[str, Float32Array] = {}
    for layer in layers:
        operator, weight = operators[layer.name], layer.inputs[1]
        apart = {
            weight: bare.constants[weight] - rounded.constants[weight],
            layer.inputs[2]: torch.zeros_like(bare.constants[layer.inputs[2]]),
        }
        moved = bare.run(operator, {layer.inputs[0]: seen.mean(layer.inputs[0]), **apart})
        by_channel = moved.transpose(0, -1 if operator.kind == "Gemm" else 1).flatten(1).mean(dim=1)
        bias = layer.inputs[2]
        biases[bias] = np.asarray(state.real.constant(bias), np.float32) + by_channel.numpy()
    return state.with_constants(biases)
