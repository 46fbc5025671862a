"""A detector's raw heads as TFLite_Detection_PostProcess takes them: real box codes, and probabilities."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.graph.graph import Graph, Operator, Quantization, Tensor
from edge.graph.passes.rewrite import fresh_name, rebuild

PROBABILITY_STEP = np.float32(1 / 256)


def detection_ending(graph: Graph) -> Graph:
    """Put a Sigmoid behind the logits, and what changes numbers behind an integer graph's outputs.

    The codes become float32: with uint8 codes the operator demands uint8 anchors, which are off by up to half a step
    of 1/255 of the largest one. The probabilities become uint8, one step of 1/256 each: the operator reads no int8.

    Requires: nhwc; two outputs, box codes (1, anchors, 4) and logits (1, anchors, 1 + classes), float32 or int8.
    Ensures: the same integers before; two outputs, codes float32, and probabilities float32 or uint8.

    Raises:
        UsageError: other outputs.
    """
    if graph.layout != "nhwc":
        raise UsageError(f"graph '{graph.name}' is {graph.layout}; a TFLite file is nhwc, convert the layout first")
    codes, logits = _heads(graph)
    tensors, operators = dict(graph.tensors), list(graph.operators)

    def appended(kind: str, given: Tensor, name: str, dtype: str, parameters: Quantization | None) -> Tensor:
        made = replace(given, name=fresh_name(name, tensors), dtype=dtype, quantization=parameters)
        tensors[made.name] = made
        operators.append(
            Operator(kind=kind, name=f"head.{made.name}", inputs=(given.name,), outputs=(made.name,), attributes={})
        )
        return made

    if codes.quantization is None:
        probabilities = appended("Sigmoid", logits, "probabilities", "float32", None)
        return rebuild(graph, operators, tensors, outputs=(codes.name, probabilities.name))
    real = appended("Dequantize", codes, "box_codes", "float32", None)
    step = np.array([PROBABILITY_STEP])
    narrow = appended("Sigmoid", logits, "probabilities_int8", "int8", Quantization(scale=step, zero_point=_of(-128)))
    shifted = appended("Quantize", narrow, "probabilities", "uint8", Quantization(scale=step, zero_point=_of(0)))
    return rebuild(graph, operators, tensors, outputs=(real.name, shifted.name))


def _heads(graph: Graph) -> tuple[Tensor, Tensor]:
    """Codes and logits. Refuses (UsageError) a graph that does not end in them."""
    shown = ", ".join(f"{name} {graph.tensors[name].dtype} {graph.tensors[name].shape}" for name in graph.outputs)
    ends = [graph.tensors[name] for name in graph.outputs]
    ranks = [len(tensor.shape) for tensor in ends]
    if ranks != [3, 3] or ends[0].shape[2] != 4 or ends[1].shape[2] < 2 or ends[0].shape[:2] != ends[1].shape[:2]:
        raise UsageError(
            f"the model ends in {shown}; post-processing needs (1, anchors, 4) box codes and (1, anchors, 1 + classes) "
            "logits"
        )
    kinds = {(tensor.dtype, tensor.quantization is None) for tensor in ends}
    if kinds not in ({("float32", True)}, {("int8", False)}):
        raise UsageError(f"the model ends in {shown}; post-processing takes both as int8, or both as float32")
    return ends[0], ends[1]


def _of(zero_point: int) -> NDArray[np.int64]:
    return np.array([zero_point], np.int64)
