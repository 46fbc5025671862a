"""Which TFLite operators have a kernel for int16 activations, and from which version."""

from collections.abc import Mapping
from types import MappingProxyType

# Found by running each operator of LiteRT 2.3 over int16; what is missing has no kernel.
INT16_VERSIONS: Mapping[str, int] = MappingProxyType(
    {
        "ABS": 3,
        "ADD": 3,
        "AVERAGE_POOL_2D": 3,
        "BATCH_MATMUL": 4,
        "BROADCAST_TO": 3,
        "CAST": 1,
        "CONCATENATION": 3,
        "CONV_2D": 4,
        "DEPTHWISE_CONV_2D": 5,
        "DEQUANTIZE": 3,
        "FULLY_CONNECTED": 7,
        "GATHER": 4,
        "LEAKY_RELU": 2,
        "LOGISTIC": 3,
        "MAX_POOL_2D": 3,
        "MAXIMUM": 3,
        "MEAN": 3,
        "MINIMUM": 3,
        "MIRROR_PAD": 3,
        "MUL": 4,
        "PAD": 3,
        "PACK": 3,
        "PADV2": 3,
        "PRELU": 1,
        "QUANTIZE": 2,
        "REDUCE_MAX": 3,
        "REDUCE_MIN": 3,
        "RELU": 3,
        "RELU6": 3,
        "RESHAPE": 1,
        "RESIZE_BILINEAR": 4,
        "RESIZE_NEAREST_NEIGHBOR": 4,
        "SLICE": 4,
        "SOFTMAX": 3,
        "SPLIT": 4,
        "STRIDED_SLICE": 4,
        "SUB": 5,
        "TANH": 3,
        "TILE": 3,
        "TRANSPOSE": 4,
        "TRANSPOSE_CONV": 3,
        "UNPACK": 4,
    }
)
