"""Operators of one value at a time, softmax, ArgMax, and changes of parameters."""

import numpy as np

from converters.onnx.operators.builder import Builder
from converters.onnx.operators.node import computed, reals
from edge.graph.graph import Operator
from edge.graph.importers.onnx.parsing.file import ELEMENT_OF


def softmax(out: Builder, operator: Operator) -> None:
    """Softmax."""
    computed(out, operator, "Softmax", reals(out, operator), axis=operator.attributes["axis"])


def arg_max(out: Builder, operator: Operator) -> None:
    """Over the integers themselves: they are in the order of the real values. ONNX gives int64, a Cast the rest."""
    name = operator.outputs[0]
    dtype = out.graph.tensors[name].dtype
    index = name if dtype == "int64" else f"{name}/int64"
    attributes = {"axis": operator.attributes["axis"], "keepdims": int(operator.attributes["keepdims"])}
    # ONNX Runtime has no ArgMax of int16; the real values are in the same order.
    wide = out.graph.tensors[operator.inputs[0]].dtype == "int16"
    source = out.real(operator.inputs[0]) if wide else out.raw(operator.inputs[0])
    out.node("ArgMax", (source,), (index,), operator.name, **attributes)
    if index != name:
        out.node("Cast", (index,), (name,), f"{operator.name}/cast", to=ELEMENT_OF[dtype])


def clip(out: Builder, operator: Operator) -> None:
    """Clip and Relu6; infinite limits are omitted."""
    low, high = (0.0, 6.0) if operator.kind == "Relu6" else (operator.attributes["min"], operator.attributes["max"])
    limits = [out.scalar(value) if np.isfinite(value) else "" for value in (low, high)]
    while limits and not limits[-1]:
        limits.pop()
    computed(out, operator, "Clip", (*reals(out, operator), *limits))


def hard_sigmoid(out: Builder, operator: Operator) -> None:
    """HardSigmoid."""
    given = operator.attributes
    computed(out, operator, "HardSigmoid", reals(out, operator), alpha=given["alpha"], beta=given["beta"])


def quantize(out: Builder, operator: Operator) -> None:
    """QuantizeLinear."""
    out.quantize(out.real(operator.inputs[0]), operator.outputs[0])


def dequantize(out: Builder, operator: Operator) -> None:
    """DequantizeLinear."""
    out.dequantize(operator.inputs[0], operator.outputs[0])
