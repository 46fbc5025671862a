"""Addition, subtraction and multiplication of two activations, or of an activation and a constant.

Add and Sub are fixed point (XNNPACK qs8-vadd): r_i = float32(s_i / s_out); shift = 20 - floor(log2(max r));
M_i = rint(r_i * 2**shift) (at most 2**21);
q = ((M_a * (a - z_a) + M_b * (b - z_b) + 2**(shift - 1)) >> shift) + zero_point.
Mul is float32 (qs8-vmul): q = rint(float32((a - z_a) * (b - z_b)) * ((s_a * s_b) / s_out)) + zero_point.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch

from edge.graph.graph import Graph, Operator
from edge.quantization.integer_ops.affine import Affine, Kernel, activation_range, affine, given, refuse

MULTIPLIER_BITS = 20
SMALLEST_RATIO, LARGEST_RATIO = 2.0**-10, 2.0**8


def add_multipliers(operator: Operator, inputs: Sequence[Affine], output: Affine) -> tuple[list[int], int]:
    """The two integer multipliers and the shift. Refuses (UnsupportedError) ratios outside [2**-10, 2**8)."""
    ratios = [np.float32(source.scale) / np.float32(output.scale) for source in inputs]
    for ratio in ratios:
        if not SMALLEST_RATIO <= ratio < LARGEST_RATIO:
            raise refuse(
                operator, f"input scale / output scale is {ratio:.3g}, outside [2^-10, 2^8); XNNPACK refuses it"
            )
    shift = MULTIPLIER_BITS - (math.frexp(float(max(ratios)))[1] - 1)
    return [int(np.rint(np.float64(ratio) * 2.0**shift)) for ratio in ratios], shift


def _sum(graph: Graph, operator: Operator, sign: int) -> Kernel:
    sources = [affine(graph, operator, name) for name in operator.inputs[:2]]
    target = affine(graph, operator, operator.outputs[0])
    (first, second), shift = add_multipliers(operator, sources, target)
    second *= sign
    offset = (1 << (shift - 1)) - first * sources[0].zero_point - second * sources[1].zero_point
    low, high = activation_range(target, operator.attributes["activation"])

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        total = given(values, 0).int().mul_(first) + given(values, 1).int().mul_(second)
        total.add_(offset).bitwise_right_shift_(shift).add_(target.zero_point)
        return total.clamp_(low, high).to(target.dtype)

    return kernel


def add(graph: Graph, operator: Operator) -> Kernel:
    """Add, with numpy broadcasting."""
    return _sum(graph, operator, 1)


def sub(graph: Graph, operator: Operator) -> Kernel:
    """Sub: the addition with the second multiplier negated."""
    return _sum(graph, operator, -1)


def mul(graph: Graph, operator: Operator) -> Kernel:
    """Mul, with numpy broadcasting."""
    first, second = (affine(graph, operator, name) for name in operator.inputs[:2])
    target = affine(graph, operator, operator.outputs[0])
    factor = float((first.scale * second.scale) / target.scale)
    low, high = activation_range(target, operator.attributes["activation"])

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        left = given(values, 0).float().sub_(first.zero_point)
        right = given(values, 1).float().sub_(second.zero_point)
        scaled = (left * right).mul_(factor).round_().add_(target.zero_point)
        return scaled.clamp_(low, high).to(target.dtype)

    return kernel
