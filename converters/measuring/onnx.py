"""ONNX files that measure ONNX Runtime on a machine: large convolutions, chains of nodes that hardly compute."""

from converters.measuring.convolutions import Precision, convolutions
from converters.onnx.file import onnx_bytes
from converters.onnxruntime.form import onnxruntime_form
from edge.graph.graph import Graph, Operator, Tensor

PEAK_SIDE, PEAK_CHANNELS, PEAK_LAYERS = 28, 512, 4
PEAK_MULTIPLY_ADDS = PEAK_LAYERS * PEAK_SIDE * PEAK_SIDE * PEAK_CHANNELS * PEAK_CHANNELS
CHAIN_NODES, CHAIN_CHANNELS = 64, 8


def peak_file(precision: Precision) -> bytes:
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


def _convolutions(precision: Precision, side: int, channels: int, layers: int) -> bytes:
    graph = convolutions(precision, "nchw", side, channels, layers)
    return onnxruntime_form(graph) if precision == "int8" else onnx_bytes(graph)
