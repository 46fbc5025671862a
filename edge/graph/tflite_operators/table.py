"""The table of TFLite operators that have a canonical kind."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from edge.graph.tflite_file import FileOperator, FileTensor
from edge.graph.tflite_operators import convolution, elementwise, movement, pooling
from edge.graph.tflite_operators.site import Reading, Site


def read_operator(operator: FileOperator, tensors: Sequence[FileTensor]) -> Reading | None:
    """The canonical form of an operator, or None when it has none. Refuses (ValueError) what cannot be."""
    reader = READERS.get(operator.code)
    if reader is None or not operator.outputs or not operator.inputs:
        return None
    site = Site(operator, tensors)
    return reader(site)


# operator code -> how it is read; a reader gives None for a form that has no canonical kind.
READERS: Mapping[str, Callable[[Site], Reading | None]] = MappingProxyType(
    {
        "CONV_2D": convolution.conv,
        "DEPTHWISE_CONV_2D": convolution.conv,
        "FULLY_CONNECTED": convolution.fully_connected,
        "ADD": elementwise.binary("Add"),
        "SUB": elementwise.binary("Sub"),
        "MUL": elementwise.binary("Mul"),
        "AVERAGE_POOL_2D": pooling.pool("AveragePool"),
        "MAX_POOL_2D": pooling.pool("MaxPool"),
        "MEAN": pooling.mean,
        "RESIZE_BILINEAR": pooling.resize("linear"),
        "RESIZE_NEAREST_NEIGHBOR": pooling.resize("nearest"),
        "CONCATENATION": movement.concat,
        "PAD": movement.pad,
        "PADV2": movement.pad,
        "RESHAPE": movement.reshape,
        "SQUEEZE": movement.reshape,
        "EXPAND_DIMS": movement.reshape,
        "TRANSPOSE": movement.transpose,
        "SLICE": movement.slice_,
        "STRIDED_SLICE": movement.strided_slice,
        "SOFTMAX": elementwise.softmax,
        "ARG_MAX": elementwise.arg_max,
        "RELU": elementwise.plain("Relu"),
        "RELU6": elementwise.plain("Relu6"),
        "RELU_N1_TO_1": elementwise.plain("Clip", min=-1.0, max=1.0),
        "RELU_0_TO_1": elementwise.plain("Clip", min=0.0, max=1.0),
        "LOGISTIC": elementwise.plain("Sigmoid"),
        "TANH": elementwise.plain("Tanh"),
        "HARD_SWISH": elementwise.plain("HardSwish"),
        "QUANTIZE": elementwise.plain("Quantize"),
        "DEQUANTIZE": elementwise.plain("Dequantize"),
    }
)
