"""Set weights to 0 that read nothing: those of channels which are 0 on their grid on all images.

Training leaves such channels behind (regularized scales of batch norms, dead rectifiers), and folding the batch norm
behind one divides by a deviation of almost 0: weights hundreds of times as large as all others, times 0. Where a weight
has one scale, they leave the others no integers (arXiv 1806.08342, section 3.1.3, tells of such channels).
"""

from dataclasses import replace

import numpy as np

from edge.quantization.ptq.channels import is_depthwise, largest_of_channels
from edge.quantization.ptq.layer_rows import layers_of
from edge.quantization.ptq.state import Float32Array, Images, State, with_constants


def without_idle(state: State, images: Images) -> State | None:
    """The state without them; None where every channel is read. Ranges are to be observed again.

    Args:
        images: on which a channel's largest magnitude stays below half a step of its tensor's scale.
    """
    layers = [layer for layer in layers_of(state.real) if layer.kind == "Gemm" or layer.attributes["group"] == 1
              or (is_depthwise(layer) and state.real.tensors[layer.inputs[1]].shape[1] == 1)]  # fmt: skip
    read = {layer.inputs[0] for layer in layers if len(state.real.tensors[layer.inputs[0]].shape) in (2, 4)}
    largest = largest_of_channels(state.real, read, images)
    constants: dict[str, Float32Array] = {}
    for layer in layers:
        name, weight_name = layer.inputs[:2]
        weight = np.array(state.real.constant(weight_name), np.float32)
        if name not in largest:
            continue
        idle = largest[name].numpy() < float(state.parameters[name][0]) / 2
        if is_depthwise(layer):
            idle = np.repeat(idle, len(weight) // len(idle))
        place = (idle,) if is_depthwise(layer) else (slice(None), idle)
        if weight[place].any():
            weight[place] = 0.0
            constants[weight_name] = weight
    if not constants:
        return None
    return replace(state, real=with_constants(state.real, constants), graph=with_constants(state.graph, constants))
