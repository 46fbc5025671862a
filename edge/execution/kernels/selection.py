"""ArgMax and Softmax over an axis."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from edge.execution.kernels.affine import TORCH_DTYPES, Affine, Kernel, affine, given
from edge.graph.graph import Graph, Operator

F32 = np.float32
Reals = npt.NDArray[np.float32]


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
    """Softmax (the built-in kernel): the exponentials divided by their sum, in float32, then the output's grid.

    The product is rounded half away from zero for int8; for uint8 one half is added in float32 and the rest cut off.
    """
    source, target = (affine(graph, operator, name) for name in (operator.inputs[0], operator.outputs[0]))
    axis = int(operator.attributes["axis"])

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        _, parts, total = exponentials(given(values, 0), source, axis)
        scaled = parts * (F32(1) / (total * target.scale))
        exact = scaled if target.dtype == torch.uint8 else scaled.astype(np.float64)
        grid = np.floor(exact + exact.dtype.type(0.5)) + target.zero_point
        integers = np.clip(grid, target.low, target.high).astype(np.int16)
        return torch.from_numpy(np.moveaxis(integers, -1, axis).copy()).to(target.dtype)

    return kernel


def exponentials(value: torch.Tensor, source: Affine, axis: int) -> tuple[Reals, Reals, Reals]:
    """-s k, exp(-s k) and the sum of these, along an axis that becomes the last; k is how far below the largest.

    As LiteRT's built-in kernels compute them: exp rounded once to float32, the sum in float32 in index order.
    """
    steps = -source.scale * np.arange(256, dtype=F32)
    table = np.exp(steps.astype(np.float64)).astype(F32)
    integers = np.moveaxis(value.numpy(), axis, -1).astype(np.int16)
    below = integers.max(axis=-1, keepdims=True) - integers
    parts = table[below]
    return steps[below], parts, np.add.accumulate(parts, axis=-1, dtype=F32)[..., -1:]
