"""The table of ONNX operators that have a canonical kind."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from edge.graph.onnx_draft import Draft, Node
from edge.graph.onnx_operators import convolution, elementwise, pooling, quantize, shape

# operator type -> how it is read. A handler raises NotCanonical for a form that has no canonical kind.
READERS: Mapping[str, Callable[[Draft, Node], None]] = MappingProxyType(
    {
        "Add": elementwise.arithmetic,
        "ArgMax": elementwise.arg_max,
        "AveragePool": pooling.pool,
        "BatchNormalization": convolution.batch_normalization,
        "Cast": shape.cast,
        "Clip": elementwise.clip,
        "Concat": shape.concat,
        "Conv": convolution.conv,
        "DequantizeLinear": quantize.dequantize,
        "Dropout": shape.identity,
        "Flatten": shape.reshape,
        "Gemm": convolution.gemm,
        "GlobalAveragePool": pooling.global_average_pool,
        "HardSigmoid": elementwise.hard_sigmoid,
        "HardSwish": elementwise.unary,
        "Identity": shape.identity,
        "MatMul": convolution.matmul,
        "MaxPool": pooling.pool,
        "Mul": elementwise.arithmetic,
        "Pad": shape.pad,
        "QuantizeLinear": quantize.quantize,
        "ReduceMean": pooling.reduce_mean,
        "Relu": elementwise.unary,
        "Reshape": shape.reshape,
        "Resize": pooling.resize,
        "Sigmoid": elementwise.unary,
        "Slice": shape.slice_,
        "Softmax": elementwise.softmax,
        "Split": shape.split,
        "Squeeze": shape.reshape,
        "Sub": elementwise.arithmetic,
        "Tanh": elementwise.unary,
        "Transpose": shape.transpose,
        "Unsqueeze": shape.reshape,
    }
)
