"""1x1 convolutions in a row, as large or as small as a measurement wants them."""

from typing import Literal

import numpy as np

from edge.graph.graph import Graph, Operator, Quantization, Tensor, per_tensor

Precision = Literal["int8", "float32"]


def convolutions(precision: Precision, layout: Literal["nchw", "nhwc"], side: int, channels: int, layers: int) -> Graph:
    """Convolutions of square maps, `t0` to `tN`, that share one weight; seeded."""
    integer = precision == "int8"
    weights = np.random.default_rng(0).integers(-127, 128, (channels, channels, 1, 1)).astype(precision)
    scale, zeros = np.full(channels, 0.01, np.float32), np.zeros(channels, np.int64)
    maps = [
        Tensor(
            name=f"t{place}",
            shape=(1, channels, side, side) if layout == "nchw" else (1, side, side, channels),
            dtype=precision,
            quantization=per_tensor(0.05, 0) if integer else None,
        )
        for place in range(layers + 1)
    ]
    weight = Tensor(
        name="weight",
        shape=weights.shape,
        dtype=precision,
        data=weights,
        quantization=Quantization(scale=scale, zero_point=zeros, axis=0) if integer else None,
    )
    bias = Tensor(
        name="bias",
        shape=(channels,),
        dtype="int32" if integer else "float32",
        data=np.zeros(channels, np.int32 if integer else np.float32),
        quantization=Quantization(scale=np.float32(0.05) * scale, zero_point=zeros, axis=0) if integer else None,
    )
    attributes = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1, "activation": "none"}
    operators = tuple(
        Operator(
            kind="Conv",
            name=f"layer.{place}",
            inputs=(f"t{place}", "weight", "bias"),
            outputs=(f"t{place + 1}",),
            attributes=attributes,
        )
        for place in range(layers)
    )
    return Graph(
        name="layers",
        layout=layout,
        operators=operators,
        tensors={tensor.name: tensor for tensor in (*maps, weight, bias)},
        inputs=("t0",),
        outputs=(f"t{layers}",),
    )
