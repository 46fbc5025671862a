"""Sums, extremes and norms along axes, and the smaller or larger of two tensors.

ReduceSum (XNNPACK): as Mean without the division: m = float32(s_in / s_out);
q = rint(float32(S) * m + (z_out - float32(n * z_in) * m)), each step rounded to float32, S the sum of the raw q.
ReduceMax, ReduceMin (XNNPACK), Max, Min (built-in): values move; inputs and output share their parameters.
L2Norm (built-in): 1 / sqrt of the integer sum of squares in fixed point, times q - z_in; output scale 1 / 128.
LogSoftmax (built-in): float32, output scale 1 / 16, zero point 127.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch

from edge.execution.kernels import fixed_point, inverse_root
from edge.execution.kernels.affine import Kernel, affine, given, refuse, tied
from edge.execution.kernels.selection import exponentials
from edge.graph.graph import Graph, Operator

F32 = np.float32
REDUCED: Mapping[str, Callable[..., torch.Tensor]] = MappingProxyType(
    {"ReduceMax": torch.amax, "ReduceMin": torch.amin}
)
CHOSEN: Mapping[str, Callable[..., torch.Tensor]] = MappingProxyType({"Max": torch.maximum, "Min": torch.minimum})
OUTPUT_BITS = 7


def reduce_sum(graph: Graph, operator: Operator) -> Kernel:
    """Sum over some axes."""
    source, target = (affine(graph, operator, name) for name in (operator.inputs[0], operator.outputs[0]))
    axes, keepdims = tuple(operator.attributes["axes"]), bool(operator.attributes["keepdims"])
    count = int(np.prod([graph.tensors[operator.inputs[0]].shape[axis] for axis in axes]))
    factor = F32(source.scale / target.scale)
    shift = F32(target.zero_point) - F32(count * source.zero_point) * factor

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        total = given(values, 0).sum(dim=axes, keepdim=keepdims, dtype=torch.int32).float()
        real = total.mul_(float(factor)).add_(float(shift))
        return real.round_().clamp_(target.low, target.high).to(target.dtype)

    return kernel


def extreme(graph: Graph, operator: Operator) -> Kernel:
    """ReduceMax, ReduceMin over some axes."""
    tied(graph, operator, (operator.inputs[0], operator.outputs[0]))
    function = REDUCED[operator.kind]
    axes, keepdims = tuple(operator.attributes["axes"]), bool(operator.attributes["keepdims"])
    return lambda values: function(given(values, 0), dim=axes, keepdim=keepdims)


def chosen(graph: Graph, operator: Operator) -> Kernel:
    """Max, Min of two tensors, with numpy broadcasting."""
    tied(graph, operator, (*operator.inputs, operator.outputs[0]))
    function = CHOSEN[operator.kind]
    return lambda values: function(given(values, 0), given(values, 1))


def l2_norm(graph: Graph, operator: Operator) -> Kernel:
    """L2Norm along an axis; refuses other output parameters than 1 / 128 and 0."""
    source, target = (affine(graph, operator, name) for name in (operator.inputs[0], operator.outputs[0]))
    if target.scale != F32(1 / 128) or target.zero_point != 0:
        found = f"the output's scale is {target.scale:.6g} and its zero point {target.zero_point}"
        raise refuse(operator, f"{found}, not 1/128 and 0, which the kernel is fixed to")
    axis = int(operator.attributes["axis"])

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        centred = given(values, 0).numpy().astype(np.int64) - source.zero_point
        root, shift = inverse_root.inverse_root(np.square(centred).sum(axis=axis, keepdims=True))
        moved = fixed_point.multiplied(centred, root, OUTPUT_BITS - shift)
        return torch.from_numpy(np.clip(moved, target.low, target.high)).to(target.dtype)

    return kernel


def log_softmax(graph: Graph, operator: Operator) -> Kernel:
    """LogSoftmax along an axis; refuses other output parameters than 1 / 16 and 127."""
    source, target = (affine(graph, operator, name) for name in (operator.inputs[0], operator.outputs[0]))
    if target.scale != F32(1 / 16) or target.zero_point != 127:
        found = f"the output's scale is {target.scale:.6g} and its zero point {target.zero_point}"
        raise refuse(operator, f"{found}, not 1/16 and 127, which the kernel is fixed to")
    axis = int(operator.attributes["axis"])

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        steps, _, total = exponentials(given(values, 0), source, axis)
        real = (steps - np.log(total.astype(np.float64)).astype(F32)) * F32(16)
        rounded = np.sign(real) * np.floor(np.abs(real) + F32(0.5)) + target.zero_point
        grid = np.clip(rounded, target.low, target.high).astype(np.int64)
        return torch.from_numpy(np.moveaxis(grid, -1, axis).copy()).to(target.dtype)

    return kernel
