"""The table of operators that can be written as ONNX nodes."""

from collections.abc import Mapping
from types import MappingProxyType

from converters.onnx.operators import functions, layers, movement, node, pointwise, pooling, rearrange
from converters.onnx.operators.node import Writer

WRITERS: Mapping[str, Writer] = MappingProxyType(
    {
        "Add": node.same_name,
        "ArgMax": pointwise.arg_max,
        "AveragePool": pooling.pool,
        "BatchNorm": layers.batch_norm,
        "Clip": pointwise.clip,
        "Cast": rearrange.cast,
        "Concat": movement.concat,
        "Conv": layers.conv,
        "ConvTranspose": layers.conv_transpose,
        "DepthToSpace": rearrange.depth_to_space,
        "Dequantize": pointwise.dequantize,
        "Expand": rearrange.expand,
        "Gather": rearrange.gather,
        "Gemm": layers.gemm,
        "HardSigmoid": pointwise.hard_sigmoid,
        "HardSwish": node.same_name,
        "MatMul": node.same_name,
        "MaxPool": pooling.pool,
        "Mean": pooling.mean,
        "Mul": node.same_name,
        "Pad": movement.pad,
        "Quantize": pointwise.quantize,
        "ReflectPad": rearrange.reflect_pad,
        "Relu": node.same_name,
        "Relu6": pointwise.clip,
        "Reshape": movement.reshape,
        "Resize": pooling.resize,
        "Sigmoid": node.same_name,
        "Slice": movement.slice_,
        "Softmax": pointwise.softmax,
        "SpaceToDepth": rearrange.space_to_depth,
        "Sub": node.same_name,
        "Tanh": node.same_name,
        "Tile": rearrange.tile,
        "Transpose": movement.transpose,
        **dict.fromkeys(("Div", "Min", "Max", "Pow", "PRelu", "Abs", "Neg", "Sqrt", "Exp", "Log"), node.same_name),
        **dict.fromkeys(("Floor", "Ceil", "Round", "Sin", "Cos"), node.same_name),
        **dict.fromkeys(("LeakyRelu", "Elu"), functions.slope),
        **dict.fromkeys(("ReduceSum", "ReduceMax", "ReduceMin"), functions.reduction),
        "Rsqrt": functions.rsqrt,
        "Gelu": functions.gelu,
        "LogSoftmax": functions.along_axis,
        "L2Norm": functions.l2_norm,
    }
)
