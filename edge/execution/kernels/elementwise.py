"""Addition, subtraction and multiplication of two activations, or of an activation and a constant.

Add and Sub are fixed point (XNNPACK qs8-vadd): r_i = float32(s_i / s_out); shift = 20 - floor(log2(max r));
M_i = rint(r_i * 2**shift) (at most 2**21);
q = ((M_a * (a - z_a) + M_b * (b - z_b) + 2**(shift - 1)) >> shift) + zero_point.
Mul is float32 (qs8-vmul): q = rint(float32((a - z_a) * (b - z_b)) * ((s_a * s_b) / s_out)) + zero_point.
"""

from collections.abc import Sequence

import torch

from edge.execution.kernels import fixed_point
from edge.execution.kernels.affine import Affine, Kernel, activation_range, affine, given
from edge.graph.graph import Graph, Operator
from edge.graph.ops.fixed_point_sum import MULTIPLIER_BITS, sum_multipliers


def _sum(graph: Graph, operator: Operator, sign: int) -> Kernel:
    sources = [affine(graph, operator, name) for name in operator.inputs[:2]]
    target = affine(graph, operator, operator.outputs[0])
    bounds = activation_range(target, operator.attributes["activation"])
    found = sum_multipliers([source.scale for source in sources], target.scale)
    if found is None:
        return _builtin_sum(sources, target, sign, bounds)
    (first, second), shift = found
    second *= sign
    offset = (1 << (shift - 1)) - first * sources[0].zero_point - second * sources[1].zero_point

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        total = given(values, 0).int().mul_(first) + given(values, 1).int().mul_(second)
        total.add_(offset).bitwise_right_shift_(shift).add_(target.zero_point)
        return total.clamp_(*bounds).to(target.dtype)

    return kernel


def _builtin_sum(sources: Sequence[Affine], target: Affine, sign: int, bounds: tuple[int, int]) -> Kernel:
    """The built-in kernel, which takes over where a ratio of scales is below 2**-10: each rescaling rounds twice.

    With t = 2 * max(s_a, s_b), both inputs are brought to t / 2**20 and their sum to s_out.
    """
    twice = 2.0 * max(float(source.scale) for source in sources)
    parts = [fixed_point.mantissa(float(source.scale) / twice, 31) for source in sources]
    whole = twice / (2.0**MULTIPLIER_BITS * float(target.scale))
    factor, exponent = fixed_point.mantissa(whole, 31)

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        total = torch.zeros((), dtype=torch.int64)
        for index, (source, (multiplier, down), direction) in enumerate(zip(sources, parts, (1, sign), strict=True)):
            fine = (given(values, index).long() - source.zero_point) << MULTIPLIER_BITS
            total = total + direction * _rescaled(fine, multiplier, -down)
        moved = _rescaled(total, factor, -exponent) + target.zero_point
        return moved.clamp_(*bounds).to(target.dtype)

    return kernel


def _rescaled(values: torch.Tensor, factor: int, shift: int) -> torch.Tensor:
    product = values * factor
    high = torch.div(product + torch.where(product >= 0, 1 << 30, 1 - (1 << 30)), 1 << 31, rounding_mode="trunc")
    if shift <= 0:
        return high
    return high.sign() * ((high.abs() + (1 << (shift - 1))) >> shift)


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
