"""The table of TFLite operators that have a canonical kind."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from edge.graph.importers.tflite.operators import convolution, elementwise, movement, parting, pooling, rearrange
from edge.graph.importers.tflite.operators.site import Reading, Site, Spread
from edge.graph.importers.tflite.parsing.file import FileOperator, FileTensor


def read_operator(operator: FileOperator, tensors: Sequence[FileTensor]) -> Reading | Spread | None:
    """The canonical form of an operator, or None when it has none. Refuses (ValueError) what cannot be."""
    reader = READERS.get(operator.code)
    if reader is None or not operator.outputs or not operator.inputs:
        return None
    site = Site(operator, tensors)
    return reader(site)


# operator code -> how it is read; a reader gives None for a form that has no canonical kind.
READERS: Mapping[str, Callable[[Site], Reading | Spread | None]] = MappingProxyType(
    {
        "CONV_2D": convolution.conv,
        "DEPTHWISE_CONV_2D": convolution.conv,
        "TRANSPOSE_CONV": convolution.transpose_conv,
        "BATCH_MATMUL": convolution.batch_matmul,
        "FULLY_CONNECTED": convolution.fully_connected,
        "ADD": elementwise.binary("Add"),
        "SUB": elementwise.binary("Sub"),
        "MUL": elementwise.binary("Mul"),
        "AVERAGE_POOL_2D": pooling.pool("AveragePool"),
        "MAX_POOL_2D": pooling.pool("MaxPool"),
        "MEAN": pooling.reduction("Mean"),
        "SUM": pooling.reduction("ReduceSum"),
        "REDUCE_MAX": pooling.reduction("ReduceMax"),
        "REDUCE_MIN": pooling.reduction("ReduceMin"),
        "RESIZE_BILINEAR": pooling.resize("linear"),
        "RESIZE_NEAREST_NEIGHBOR": pooling.resize("nearest"),
        "CONCATENATION": movement.concat,
        "PAD": movement.pad,
        "PADV2": movement.pad,
        "RESHAPE": movement.reshape,
        "SQUEEZE": movement.reshape,
        "EXPAND_DIMS": movement.reshape,
        "TRANSPOSE": movement.transpose,
        "MIRROR_PAD": rearrange.mirror_pad,
        "GATHER": rearrange.gather,
        "DEPTH_TO_SPACE": rearrange.depth_to_space,
        "SPACE_TO_DEPTH": rearrange.space_to_depth,
        "TILE": rearrange.tile,
        "BROADCAST_TO": rearrange.broadcast_to,
        "CAST": rearrange.cast,
        "SLICE": movement.slice_,
        "STRIDED_SLICE": parting.strided_slice,
        "SPLIT": parting.split,
        "SPLIT_V": parting.split_v,
        "PACK": parting.pack,
        "UNPACK": parting.unpack,
        "SOFTMAX": elementwise.softmax,
        "ARG_MAX": elementwise.arg_max,
        "RELU": elementwise.plain("Relu"),
        "RELU6": elementwise.plain("Relu6"),
        "RELU_N1_TO_1": elementwise.plain("Clip", min=-1.0, max=1.0),
        "RELU_0_TO_1": elementwise.plain("Clip", min=0.0, max=1.0),
        "LOGISTIC": elementwise.plain("Sigmoid"),
        "TANH": elementwise.plain("Tanh"),
        "HARD_SWISH": elementwise.plain("HardSwish"),
        "DIV": elementwise.binary("Div"),
        "MINIMUM": elementwise.moving("Min"),
        "MAXIMUM": elementwise.moving("Max"),
        "POW": elementwise.moving("Pow"),
        "PRELU": elementwise.p_relu,
        "LEAKY_RELU": elementwise.leaky_relu,
        "ELU": elementwise.plain("Elu", alpha=1.0),
        "GELU": elementwise.gelu,
        "ABS": elementwise.plain("Abs"),
        "SQRT": elementwise.plain("Sqrt"),
        "RSQRT": elementwise.plain("Rsqrt"),
        "EXP": elementwise.plain("Exp"),
        "LOG": elementwise.plain("Log"),
        "NEG": elementwise.float_only("Neg"),
        "FLOOR": elementwise.plain("Floor"),
        "CEIL": elementwise.plain("Ceil"),
        "ROUND": elementwise.plain("Round"),
        "SIN": elementwise.plain("Sin"),
        "COS": elementwise.plain("Cos"),
        "LOG_SOFTMAX": elementwise.along_last_axis("LogSoftmax"),
        "L2_NORMALIZATION": elementwise.along_last_axis("L2Norm", epsilon=1e-12),
        "QUANTIZE": elementwise.plain("Quantize"),
        "DEQUANTIZE": elementwise.plain("Dequantize"),
    }
)
