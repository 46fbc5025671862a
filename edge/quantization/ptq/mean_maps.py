"""Biases that make up for what the rounding of weights alone does to the mean of every layer's output.

The mean over images of a layer's output is the layer of the mean of its input, as long as no rectifier stands between:
one pass of the float network gives every mean, and what rounding the weights adds to it is the layer with the
difference of the weights (Nagel et al., arXiv 1906.04721, section 4.2, without its assumption of normal inputs).
Roundings of activations are left out; `weights.corrected_bias` sees them, layer by layer.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from edge.execution.float_run import FloatRun
from edge.quantization.ptq.layer_rows import layers_of, without_rectifiers
from edge.quantization.ptq.rounded import Network, RoundedNetwork
from edge.quantization.ptq.state import Float32Array, Images, State, evenly

BATCH_IMAGES = 4
MOST_IMAGES = 40
"""That means are taken of, evenly spread."""


@torch.no_grad()
def with_mean_outputs(state: State, images: Images, advance: Callable[[int, int], None]) -> State:
    """The state with biases that give each layer, on its float input, the mean output of the float network's weights.

    Args:
        images: whose inputs of all layers are averaged, of MOST_IMAGES at most; what is held is one image's.
        advance: is told how many images of how many are done.
    """
    layers = layers_of(state.real)
    means = _mean_inputs(state, {layer.inputs[0] for layer in layers}, images, advance)
    bare, rounded = Network(without_rectifiers(state.real)), RoundedNetwork(state)
    operators = {operator.name: operator for operator in bare.graph.operators}
    biases: dict[str, Float32Array] = {}
    for layer in layers:
        operator, weight = operators[layer.name], layer.inputs[1]
        given = {layer.inputs[0]: means[layer.inputs[0]]}
        wanted = bare.run(operator, given)
        found = bare.run(operator, {**given, weight: rounded.constants[weight]})
        apart = (wanted - found).transpose(0, -1 if operator.kind == "Gemm" else 1).flatten(1).mean(dim=1)
        bias = layer.inputs[2]
        biases[bias] = np.asarray(state.real.constant(bias), np.float32) + apart.numpy()
    return state.with_constants(biases)


def _mean_inputs(
    state: State, names: set[str], images: Images, advance: Callable[[int, int], None]
) -> dict[str, Tensor]:
    """The mean over images of some activations of the float network, one each: (1, ...)."""
    run = FloatRun(state.real)
    sums: dict[str, Tensor] = {}
    chosen = evenly(images, MOST_IMAGES)
    for start in range(0, len(chosen), BATCH_IMAGES):
        indices = range(start, min(start + BATCH_IMAGES, len(chosen)))
        for name, value in run.stream([chosen.batch(indices)]):
            if name in names:
                total = value.sum(dim=0, keepdim=True)
                sums[name] = sums[name] + total if name in sums else total
        advance(indices.stop, len(chosen))
    return {name: total / len(chosen) for name, total in sums.items()}
