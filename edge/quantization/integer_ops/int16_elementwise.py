"""Addition, subtraction and multiplication of int16 activations, in the built-in kernels' 31-bit fixed point.

Add and Sub: with t = 2 max(s_a, s_b), both inputs times 2**15 and s_i / t, their sum times t / (2**15 s_out); Mul: the
product times f32(f32(s_a * s_b) / s_out). Every rescaling rounds twice (`int16_fixed_point.rescaled`).
"""

from collections.abc import Sequence

import torch

from edge.graph.graph import Graph, Operator
from edge.quantization.integer_ops.affine import Kernel, affine, given
from edge.quantization.integer_ops.int16_fixed_point import int16_bounds, rescaled

LEFT_SHIFT = 15


def _sum(graph: Graph, operator: Operator, sign: int) -> Kernel:
    first, second = (affine(graph, operator, name) for name in operator.inputs[:2])
    target = affine(graph, operator, operator.outputs[0])
    twice = 2.0 * max(float(first.scale), float(second.scale))
    ratios = (float(first.scale) / twice, float(second.scale) / twice)
    whole = twice / (float(1 << LEFT_SHIFT) * float(target.scale))
    bounds = int16_bounds(target, operator.attributes["activation"])

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        left = rescaled(given(values, 0).long() << LEFT_SHIFT, ratios[0])
        right = rescaled(given(values, 1).long() << LEFT_SHIFT, ratios[1])
        return rescaled(left + sign * right, whole).clamp_(*bounds).to(target.dtype)

    return kernel


def add(graph: Graph, operator: Operator) -> Kernel:
    """Add, with numpy broadcasting."""
    return _sum(graph, operator, 1)


def sub(graph: Graph, operator: Operator) -> Kernel:
    """Sub, with numpy broadcasting."""
    return _sum(graph, operator, -1)


def mul(graph: Graph, operator: Operator) -> Kernel:
    """Mul, with numpy broadcasting."""
    first, second = (affine(graph, operator, name) for name in operator.inputs[:2])
    target = affine(graph, operator, operator.outputs[0])
    real = float((first.scale * second.scale) / target.scale)
    bounds = int16_bounds(target, operator.attributes["activation"])

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        product = given(values, 0).long() * given(values, 1).long()
        return rescaled(product, real).clamp_(*bounds).to(target.dtype)

    return kernel
