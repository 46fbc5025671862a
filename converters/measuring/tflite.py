"""TFLite files that measure a machine: a large convolution, and a model that hardly computes."""

from functools import cache
from typing import Literal

import numpy as np

from converters.tflite.writer import tflite_bytes
from edge.graph.graph import Graph, Operator, Quantization, Tensor, per_tensor

PEAK_SIDE, PEAK_CHANNELS = 28, 512
PEAK_MULTIPLY_ADDS = PEAK_SIDE * PEAK_SIDE * PEAK_CHANNELS * PEAK_CHANNELS


@cache
def peak_file(precision: Literal["int8", "float32"]) -> bytes:
    """A 1x1 convolution of PEAK_MULTIPLY_ADDS."""
    n, integer = PEAK_CHANNELS, precision == "int8"
    values = np.random.default_rng(0).integers(-127, 128, (n, n, 1, 1))
    scale, zeros = np.full(n, 0.01, np.float32), np.zeros(n, np.int64)
    maps = {
        name: Tensor(
            name=name,
            shape=(1, PEAK_SIDE, PEAK_SIDE, n),
            dtype=precision,
            quantization=per_tensor(0.05, 0) if integer else None,
        )
        for name in ("x", "y")
    }
    weight = Tensor(
        name="weight",
        shape=(n, n, 1, 1),
        dtype=precision,
        data=values.astype(precision),
        quantization=Quantization(scale=scale, zero_point=zeros, axis=0) if integer else None,
    )
    bias = Tensor(
        name="bias",
        shape=(n,),
        dtype="int32" if integer else "float32",
        data=np.zeros(n, np.int32 if integer else np.float32),
        quantization=Quantization(scale=np.float32(0.05) * scale, zero_point=zeros, axis=0) if integer else None,
    )
    attributes = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1, "activation": "none"}
    conv = Operator(kind="Conv", name="conv", inputs=("x", "weight", "bias"), outputs=("y",), attributes=attributes)
    graph = Graph(
        name="peak",
        layout="nhwc",
        operators=(conv,),
        tensors={**maps, "weight": weight, "bias": bias},
        inputs=("x",),
        outputs=("y",),
    )
    return tflite_bytes(graph)


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
