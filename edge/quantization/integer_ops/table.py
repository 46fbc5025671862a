"""The table of operators that the integer simulation knows."""

from collections.abc import Mapping
from types import MappingProxyType

from edge.quantization.integer_ops import convolution, elementwise, movement, pointwise, pooling, resize, selection
from edge.quantization.integer_ops.affine import Builder

BUILDERS: Mapping[str, Builder] = MappingProxyType(
    {
        "Conv": convolution.conv,
        "Gemm": convolution.gemm,
        "Add": elementwise.add,
        "Sub": elementwise.sub,
        "Mul": elementwise.mul,
        "AveragePool": pooling.average_pool,
        "MaxPool": pooling.max_pool,
        "Mean": pooling.mean,
        "Resize": resize.resize,
        "Concat": movement.concat,
        "Pad": movement.pad,
        "Reshape": movement.reshape,
        "Transpose": movement.transpose,
        "Slice": movement.cut,
        "Relu": pointwise.clip,
        "Relu6": pointwise.clip,
        "Clip": pointwise.clip,
        "Sigmoid": pointwise.table,
        "Tanh": pointwise.table,
        "HardSwish": pointwise.hard_swish,
        "HardSigmoid": pointwise.table,
        "Quantize": pointwise.quantize,
        "Dequantize": pointwise.dequantize,
        "Softmax": selection.softmax,
        "ArgMax": selection.argmax,
    }
)
