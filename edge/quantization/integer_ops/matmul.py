"""Products of two activations (the built-in BATCH_MATMUL; XNNPACK leaves the 8-bit one alone).

acc = the exact integer sum of (a - z_a)(b - z_b); m = s_a * s_b / s_out in float64 as a 31-bit multiplier;
q = acc * m, rounded twice (half up on the product, half away from zero on the shift), + zero_point.
"""

from collections.abc import Sequence

import numpy as np
import torch

from edge.graph.graph import Graph, Operator
from edge.quantization.integer_ops import fixed_point
from edge.quantization.integer_ops.affine import Kernel, affine, given, refuse


def matmul(graph: Graph, operator: Operator) -> Kernel:
    """MatMul of a (..., m, k) and b (..., k, n), both 8-bit and per tensor."""
    first, second = (affine(graph, operator, name) for name in operator.inputs)
    target = affine(graph, operator, operator.outputs[0])
    depth = graph.tensors[operator.inputs[0]].shape[-1]
    if depth * first.largest_magnitude * second.largest_magnitude >= 1 << 31:
        raise refuse(operator, f"sums of {depth} products do not fit 32 bits")
    factor, exponent = fixed_point.mantissa(float(first.scale) * float(second.scale) / float(target.scale), 31)

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        left = given(values, 0).double().sub_(first.zero_point)
        right = given(values, 1).double().sub_(second.zero_point)
        total = (left @ right).numpy().astype(np.int64)
        moved = fixed_point.high_product(total << max(exponent, 0), factor, 31)
        integers = fixed_point.shifted(moved, max(-exponent, 0)) + target.zero_point
        return torch.from_numpy(np.clip(integers, target.low, target.high)).to(target.dtype)

    return kernel
