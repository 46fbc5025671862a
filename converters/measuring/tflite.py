"""TFLite files that measure a machine: a large convolution, and a model that hardly computes."""

from functools import cache

from converters.measuring.convolutions import Precision, convolutions
from converters.tflite.writer import tflite_bytes
from edge.graph.graph import Graph, Operator, Tensor, per_tensor

PEAK_SIDE, PEAK_CHANNELS = 28, 512
PEAK_MULTIPLY_ADDS = PEAK_SIDE * PEAK_SIDE * PEAK_CHANNELS * PEAK_CHANNELS


@cache
def peak_file(precision: Precision) -> bytes:
    """A 1x1 convolution of PEAK_MULTIPLY_ADDS."""
    return tflite_bytes(convolutions(precision, "nhwc", PEAK_SIDE, PEAK_CHANNELS, 1))


@cache
def call_file() -> bytes:
    """A rectifier of eight values: what it takes is what a call takes."""
    tensors = {
        name: Tensor(name=name, shape=(1, 8), dtype="int8", quantization=per_tensor(0.1, 0)) for name in ("x", "y")
    }
    relu = Operator(kind="Relu", name="relu", inputs=("x",), outputs=("y",))
    return tflite_bytes(
        Graph(name="call", layout="nhwc", operators=(relu,), tensors=tensors, inputs=("x",), outputs=("y",))
    )
