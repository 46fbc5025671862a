"""ONNX files that measure ONNX Runtime on a machine: large convolutions, chains of nodes that hardly compute."""

from typing import Literal

import numpy as np

from converters.onnx.file import onnx_bytes
from converters.onnxruntime.form import onnxruntime_form
from edge.graph.graph import Graph, Operator, Quantization, Tensor, per_tensor

PEAK_SIDE, PEAK_CHANNELS, PEAK_LAYERS = 28, 512, 4
PEAK_MULTIPLY_ADDS = PEAK_LAYERS * PEAK_SIDE * PEAK_SIDE * PEAK_CHANNELS * PEAK_CHANNELS
CHAIN_NODES, CHAIN_CHANNELS = 64, 8


def peak_file(precision: Literal["int8", "float32"]) -> bytes:
    """Large 1x1 convolutions in a row, PEAK_MULTIPLY_ADDS in all; the reordering at both ends stays below 2 %.

    `int8` is written as the product writes integer models for ONNX Runtime: uint8 activations, int8 weights, QDQ.
    """
    return _convolutions(precision, PEAK_SIDE, PEAK_CHANNELS, PEAK_LAYERS)


def overhead_chains() -> tuple[bytes, bytes, bytes]:
    """Files that tell what ONNX Runtime's profile costs within a node's own duration.

    One negation of a few floats; a chain of them, two tensors each; a chain of integer convolutions of one pixel, nine
    tensors each. The profile describes every tensor of a node before it stops that node's clock.
    """
    return _negations(1), _negations(CHAIN_NODES + 1), _convolutions("int8", 1, CHAIN_CHANNELS, CHAIN_NODES)


def _negations(count: int) -> bytes:
    tensors = {f"t{place}": Tensor(name=f"t{place}", shape=(1, 4), dtype="float32") for place in range(count + 1)}
    operators = tuple(
        Operator(kind="Neg", name=f"negation.{place}", inputs=(f"t{place}",), outputs=(f"t{place + 1}",), attributes={})
        for place in range(count)
    )
    return onnx_bytes(
        Graph(name="chain", layout="nchw", operators=operators, tensors=tensors, inputs=("t0",), outputs=(f"t{count}",))
    )


def _convolutions(precision: Literal["int8", "float32"], side: int, channels: int, layers: int) -> bytes:
    integer = precision == "int8"
    weights = np.random.default_rng(0).integers(-127, 128, (channels, channels, 1, 1)).astype(precision)
    scale, zeros = np.full(channels, 0.01, np.float32), np.zeros(channels, np.int64)
    maps = [
        Tensor(
            name=f"t{place}",
            shape=(1, channels, side, side),
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
    graph = Graph(
        name="layers",
        layout="nchw",
        operators=operators,
        tensors={tensor.name: tensor for tensor in (*maps, weight, bias)},
        inputs=("t0",),
        outputs=(f"t{layers}",),
    )
    return onnxruntime_form(graph) if integer else onnx_bytes(graph)
