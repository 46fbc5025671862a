"""What a graph proves about its scores: how it ends says whether they are probabilities, and whether they exclude."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edge.graph.graph import Graph, Operator, channel_axis

Values = Literal["logits", "probabilities", "class_map"]
Scores = Literal["exclusive", "independent"]

# What hands values on, or averages them: probabilities stay probabilities, logits stay logits.
PASSES = ("Quantize", "Dequantize", "Transpose", "Reshape", "Slice", "Resize", "AveragePool", "Mean", "Cast")
PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
SUMS = ("Add", "Sub", "Neg", "BatchNorm", "Relu", "LeakyRelu", "PRelu", "Elu", "Gelu", "HardSwish")
"""Without bounds where an operand is: 1 - Sigmoid and (Tanh + 1) / 2 are probabilities, a bias behind a product not."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What an output proves of itself.

    Attributes:
        values: None where the end is neither a known function nor unbounded.
        scores: None where the end does not say whether scores exclude each other.
        ending: the operator at the end in words, for messages.
    """

    values: Values | None
    scores: Scores | None
    ending: str


def proof_of(graph: Graph, name: str, *, axis: int | None = None) -> Proof:
    """What the end of a graph proves about one of its outputs.

    A Softmax over the classes makes probabilities that exclude each other, a Sigmoid those that need not; a product
    with weights makes logits, and so does a sum or a rectifier behind one. Anything else (a clip, a tangent, a product
    of two probabilities, a quotient, integers that stand for numbers from 0 to 1 alone) proves nothing.

    Args:
        axis: of the classes, in the output's shape; None: the only one that is not 1, or the channels of a map.
    """
    operator = _end(graph, name)
    if operator is None:
        return Proof(values=None, scores=None, ending="an input or a constant")
    ending = f"{operator.kind} '{operator.name}'"
    if operator.kind in ("Softmax", "LogSoftmax") and _over_classes(graph, operator, axis):
        values: Values = "probabilities" if operator.kind == "Softmax" else "logits"
        return Proof(values=values, scores="exclusive", ending=ending)
    if operator.kind == "ArgMax":
        return Proof(values="class_map", scores=None, ending=ending)
    if operator.kind in ("Sigmoid", "HardSigmoid"):
        return Proof(values="probabilities", scores="independent", ending=ending)
    if not _is_unbounded(graph, operator):
        return Proof(values=None, scores=None, ending=ending)
    # The largest of several may be rectified (SqueezeNet); of one alone no logit would ever say no.
    rectified = operator.kind == "Relu" or operator.attributes.get("activation", "none") == "relu"
    return Proof(values="logits", scores="exclusive" if rectified else None, ending=ending)


def _is_unbounded(graph: Graph, last: Operator) -> bool:
    """Whether a product with weights reaches the end through sums and rectifiers alone, so that no bound holds."""
    waiting, seen = [last], {last.name}
    while waiting:
        operator = waiting.pop()
        if operator.attributes.get("activation", "none") == "relu6" or _holds_probabilities(graph, operator.outputs[0]):
            continue
        if operator.kind in PRODUCTS:
            return True
        sources = [_end(graph, name) for name in operator.inputs if name] if operator.kind in SUMS else []
        for source in sources:
            if source is not None and source.name not in seen:
                seen.add(source.name)
                waiting.append(source)
    return False


def _holds_probabilities(graph: Graph, name: str) -> bool:
    """Whether a tensor's integers stand for 0 to 1 alone: what a HardSigmoid became, or logits cut to it."""
    tensor = graph.tensors[name]
    if tensor.quantization is None:
        return False
    scale, zero_point = float(tensor.quantization.scale[0]), int(tensor.quantization.zero_point[0])
    limits = np.iinfo(tensor.dtype)
    return zero_point == limits.min and scale * (limits.max - limits.min) <= 1 + scale


def _end(graph: Graph, name: str) -> Operator | None:
    operator = graph.producer(name)
    while operator is not None and operator.kind in PASSES:
        operator = graph.producer(operator.inputs[0])
    return operator


def _over_classes(graph: Graph, operator: Operator, wanted: int | None) -> bool:
    """Whether a Softmax runs along the wanted axis: the only one that is not 1, or the channels of a map."""
    shape = graph.tensors[operator.outputs[0]].shape
    axis = operator.attributes["axis"] % len(shape)
    if wanted is not None:
        return bool(axis == wanted)
    wide = [place for place, size in enumerate(shape) if size > 1]
    return wide in ([], [axis]) or (len(shape) == 4 and axis == channel_axis(graph.layout, 4))
