"""The table of operators that the integer simulation knows over int16 activations (int8 weights: 16x8)."""

from collections.abc import Mapping
from types import MappingProxyType

from edge.execution.kernels import (
    int16_elementwise,
    int16_layers,
    int16_pointwise,
    int16_pooling,
    movement,
    reduction,
    selection,
)
from edge.execution.kernels.affine import Builder

INT16_BUILDERS: Mapping[str, Builder] = MappingProxyType(
    {
        "Conv": int16_layers.conv,
        "Gemm": int16_layers.gemm,
        "Add": int16_elementwise.add,
        "Sub": int16_elementwise.sub,
        "Mul": int16_elementwise.mul,
        "AveragePool": int16_pooling.average_pool,
        "MaxPool": int16_pooling.max_pool,
        "Mean": int16_pooling.mean,
        "Resize": int16_pooling.resize,
        "Concat": movement.concat,
        "Pad": movement.pad,
        "Reshape": movement.reshape,
        "Transpose": movement.transpose,
        "Slice": movement.cut,
        "Relu": int16_pointwise.clip,
        "Relu6": int16_pointwise.clip,
        "Clip": int16_pointwise.clip,
        "Sigmoid": int16_pointwise.sigmoid,
        "Tanh": int16_pointwise.tanh,
        "Quantize": int16_pointwise.quantize,
        "Dequantize": int16_pointwise.dequantize,
        "Cast": int16_pointwise.cast,
        "Softmax": int16_pointwise.softmax,
        "ArgMax": selection.argmax,
        "Max": reduction.chosen,
        "Min": reduction.chosen,
    }
)
