"""What a graph proves about its scores: how it ends says whether they are probabilities, and whether they exclude."""

from dataclasses import dataclass
from typing import Literal

from edge.graph.graph import Graph, Operator, channel_axis

Values = Literal["logits", "probabilities", "class_map"]
Scores = Literal["exclusive", "independent"]

# What hands values on, or averages them: probabilities stay probabilities, logits stay logits.
PASSES = ("Quantize", "Dequantize", "Transpose", "Reshape", "Slice", "Resize", "AveragePool", "Mean", "Cast")
# Ends that give values below 0 or above 1, which no probability is: sums of products, rectified ones (SqueezeNet), ...
UNBOUNDED = (
    *("Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "BatchNorm", "Relu", "LogSoftmax", "Log", "Neg"),
    *("LeakyRelu", "PRelu", "Elu", "Gelu", "HardSwish", "Tanh", "Sin", "Cos"),
)


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


def proof_of(graph: Graph, name: str) -> Proof:
    """What the end of a graph proves about one of its outputs.

    A Softmax over the classes makes probabilities that exclude each other, a Sigmoid those that need not; a product
    with weights makes logits, as does whatever can be negative. Anything else (a clip, a product of two probabilities,
    a quotient) proves nothing.
    """
    operator = _end(graph, name)
    if operator is None:
        return Proof(values=None, scores=None, ending="an input or a constant")
    ending = f"{operator.kind} '{operator.name}'"
    if operator.kind == "Softmax" and _over_classes(graph, operator):
        return Proof(values="probabilities", scores="exclusive", ending=ending)
    if operator.kind == "ArgMax":
        return Proof(values="class_map", scores=None, ending=ending)
    if operator.kind in ("Sigmoid", "HardSigmoid"):
        return Proof(values="probabilities", scores="independent", ending=ending)
    if operator.kind in UNBOUNDED and operator.attributes.get("activation", "none") in ("none", "relu"):
        scores: Scores | None = "exclusive" if operator.kind == "LogSoftmax" else None
        return Proof(values="logits", scores=scores, ending=ending)
    return Proof(values=None, scores=None, ending=ending)


def _end(graph: Graph, name: str) -> Operator | None:
    operator = graph.producer(name)
    while operator is not None and operator.kind in PASSES:
        operator = graph.producer(operator.inputs[0])
    return operator


def _over_classes(graph: Graph, operator: Operator) -> bool:
    """Whether a Softmax runs along the only axis that is not 1, or the channels of a map."""
    shape = graph.tensors[operator.outputs[0]].shape
    axis = operator.attributes["axis"] % len(shape)
    wide = [place for place, size in enumerate(shape) if size > 1]
    return wide in ([], [axis]) or (len(shape) == 4 and axis == channel_axis(graph.layout, 4))
