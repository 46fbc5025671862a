"""Addition, subtraction and multiplication of int16 activations, in the built-in kernels' 31-bit fixed point.

Add and Sub: with t = 2 max(s_a, s_b), both inputs times 2**15 and s_i / t, their sum times t / (2**15 s_out); Mul: the
product times f32(f32(s_a * s_b) / s_out). Every rescaling rounds twice (`int16_fixed_point.rescaled`), except those of
an Add's inputs where both have one shape: the vector kernel rounds them once, in blocks of 16 values of the NHWC order,
and its scalar loop twice in the rest. (On x86-64 with AVX2; elsewhere 2 values in 100,000 may differ by 1.)
"""

import math
from collections.abc import Sequence

import torch

from edge.execution.kernels.affine import Kernel, affine, given
from edge.execution.kernels.int16_fixed_point import int16_bounds, rescaled, rescaled_once
from edge.graph.graph import Graph, Operator

LEFT_SHIFT = 15
BLOCK = 16


def _sum(graph: Graph, operator: Operator, sign: int) -> Kernel:
    first, second = (affine(graph, operator, name) for name in operator.inputs[:2])
    target = affine(graph, operator, operator.outputs[0])
    twice = 2.0 * max(float(first.scale), float(second.scale))
    ratios = (float(first.scale) / twice, float(second.scale) / twice)
    whole = twice / (float(1 << LEFT_SHIFT) * float(target.scale))
    bounds = int16_bounds(target, operator.attributes["activation"])

    scalar = _after_blocks(graph, operator) if sign == 1 else None

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        left, right = given(values, 0).long() << LEFT_SHIFT, given(values, 1).long() << LEFT_SHIFT
        total = rescaled(left, ratios[0]) + sign * rescaled(right, ratios[1])
        if scalar is not None:
            total = torch.where(scalar, total, rescaled_once(left, ratios[0]) + rescaled_once(right, ratios[1]))
        return rescaled(total, whole).clamp_(*bounds).to(target.dtype)

    return kernel


def _after_blocks(graph: Graph, operator: Operator) -> torch.Tensor | None:
    """Which cells the scalar loop computes, bool of the graph's shape; None where no vector kernel runs."""
    first, second = (graph.tensors[name].shape for name in operator.inputs[:2])
    if first != second:
        return None
    size = math.prod(first)
    order = torch.arange(size) >= size - size % BLOCK
    if graph.layout == "nhwc" or len(first) != 4:
        return order.reshape(first)
    n, c, h, w = first
    return order.reshape(n, h, w, c).permute(0, 3, 1, 2)


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
