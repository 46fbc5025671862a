"""Products of two activations: XNNPACK takes them where b's zero point is 0, else the built-in BATCH_MATMUL runs.

acc = the exact integer sum of (a - z_a)(b - z_b); p = float32(s_a * s_b).
XNNPACK: q = rint(float32(acc) * float32(p / s_out)) + zero_point, as a convolution.
Built-in: p / s_out in float64 as a 31-bit multiplier that rounds twice (half up on the product, half away from zero on
the shift), + zero_point.
"""

from collections.abc import Sequence

import numpy as np
import torch

from edge.execution.kernels import fixed_point
from edge.execution.kernels.affine import Kernel, affine, given, refuse
from edge.execution.kernels.convolution import requantize
from edge.graph.graph import Graph, Operator


def matmul(graph: Graph, operator: Operator) -> Kernel:
    """MatMul of a (..., m, k) and b (..., k, n), both 8-bit and per tensor."""
    first, second = (affine(graph, operator, name) for name in operator.inputs)
    target = affine(graph, operator, operator.outputs[0])
    depth = graph.tensors[operator.inputs[0]].shape[-1]
    if depth * first.largest_magnitude * second.largest_magnitude >= 1 << 31:
        raise refuse(operator, f"sums of {depth} products do not fit 32 bits")
    product = np.float32(first.scale * second.scale)
    single = torch.from_numpy(np.array(product / target.scale, np.float32))
    factor, exponent = fixed_point.mantissa(float(product) / float(target.scale), 31)

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        left = given(values, 0).double().sub_(first.zero_point)
        right = given(values, 1).double().sub_(second.zero_point)
        total = left @ right
        if second.zero_point == 0:
            return requantize(total.float(), single, target, (target.low, target.high))
        moved = fixed_point.high_product(total.numpy().astype(np.int64) << max(exponent, 0), factor, 31)
        integers = fixed_point.shifted(moved, max(-exponent, 0)) + target.zero_point
        return torch.from_numpy(np.clip(integers, target.low, target.high)).to(target.dtype)

    return kernel
