"""ArgMax and Softmax over an axis."""

from collections.abc import Sequence

import numpy as np
import torch

from edge.graph.graph import Graph, Operator
from edge.quantization.integer_ops.affine import TORCH_DTYPES, Kernel, affine, given


def argmax(graph: Graph, operator: Operator) -> Kernel:
    """ArgMax: the lowest index among equal largest values."""
    axis, keepdims = int(operator.attributes["axis"]), bool(operator.attributes["keepdims"])
    dtype = TORCH_DTYPES[graph.tensors[operator.outputs[0]].dtype]

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        value = given(values, 0)
        # torch does not promise which of several equal values it takes: look for the first one.
        largest = value.amax(dim=axis, keepdim=True)
        first = (value == largest).to(torch.uint8).cumsum(dim=axis, dtype=torch.int16).eq(0).sum(dim=axis, keepdim=True)
        return (first if keepdims else first.squeeze(axis)).to(dtype)

    return kernel


def softmax(graph: Graph, operator: Operator) -> Kernel:
    """Softmax (the built-in kernel): a float32 table of exp(-s * k), a float32 sum, then the output's grid.

    The sum is taken in index order in float32; the product is rounded half away from zero.
    """
    source, target = (affine(graph, operator, name) for name in (operator.inputs[0], operator.outputs[0]))
    steps = np.arange(256, dtype=np.float32)
    exponentials = torch.from_numpy(np.exp(-source.scale * steps).astype(np.float32))
    axis = int(operator.attributes["axis"])
    scale = float(target.scale)

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        value = given(values, 0).movedim(axis, -1).int()
        below = value.amax(dim=-1, keepdim=True) - value
        parts = exponentials[below.long()]
        total = parts.cumsum(dim=-1)[..., -1:]
        scaled = parts * (1.0 / (total * scale))
        grid = torch.floor(scaled + 0.5).add_(target.zero_point).clamp_(target.low, target.high)
        return grid.to(target.dtype).movedim(-1, axis)

    return kernel
