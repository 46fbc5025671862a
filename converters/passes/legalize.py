"""Integer operators without a TFLite kernel of their own, as operators that have one, with exact parameters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.artifact.scheme import quantize_bias, quantize_weight, weight_scales
from edge.graph.graph import Graph, Operator, Quantization, Tensor, per_tensor
from edge.graph.ops.integer_form import integer_fault
from edge.graph.passes.rewrite import fresh_name, real_values, rebuild

LARGEST_RATIO = 255
"""Of an input's or a product's scale to the output's: LiteRT's kernels are exact below 256."""
PLAIN = {"activation": "none"}


def legalize(graph: Graph) -> Graph:
    """Rewrite integer operators that TFLite lacks; what no kernel computes goes between Dequantize and Quantize.

    HardSigmoid becomes a 1x1 depthwise convolution (one rounding, the range clamps), Neg and a division by one number
    become a product, Add, Sub and Mul with a scale ratio from 256 on go through a coarser tensor, and an operator that
    has an `integer_fault` computes in float.

    Requires: an NCHW graph, Q/DQ pairs collapsed. A float graph comes back unchanged.
    Ensures: operators over integers that TFLite has. Running it again changes nothing.
    """
    for rules in (REPLACED, COARSER):
        work = _Lowering(graph)
        for operator in graph.operators:
            output = graph.tensors[operator.outputs[0]]
            if output.quantization is None or any(_is_real(graph.tensors[name]) for name in operator.inputs if name):
                work.operators.append(operator)
            elif integer_fault(operator, graph.tensors):
                work.in_float(operator)
            elif operator.kind not in rules or not rules[operator.kind](work, operator):
                work.operators.append(operator)
        graph = rebuild(graph, work.operators, work.tensors)
    return graph


def _is_real(tensor: Tensor) -> bool:
    return tensor.quantization is None and tensor.dtype.startswith("float")


class _Lowering:
    """The operators and tensors so far."""

    def __init__(self, graph: Graph) -> None:
        self.tensors: dict[str, Tensor] = dict(graph.tensors)
        self.operators: list[Operator] = []
        self.names = {operator.name for operator in graph.operators}
        self.reals: dict[str, str] = {}

    def add(self, kind: str, like: Operator, inputs: Sequence[str], output: str, attributes: Mapping[str, Any]) -> None:
        """Add an operator; one that writes the output of `like` takes its name."""
        name = like.name if output == like.outputs[0] else fresh_name(f"{output}/{kind.lower()}", self.names)
        self.names.add(name)
        self.operators.append(
            Operator(
                kind=kind, name=name, inputs=tuple(inputs), outputs=(output,), attributes=attributes, source=like.source
            )
        )

    def tensor(self, base: str, like: Tensor, **changed: Any) -> str:
        """A new tensor like another one."""
        name = fresh_name(base, self.tensors)
        self.tensors[name] = replace(like, name=name, **changed)
        return name

    def constant(self, base: str, data: npt.NDArray[Any], quantization: Quantization | None = None) -> str:
        """A new constant."""
        name = fresh_name(base, self.tensors)
        self.tensors[name] = Tensor(
            name=name, shape=data.shape, dtype=data.dtype.name, data=data, quantization=quantization
        )
        return name

    def in_float(self, operator: Operator) -> None:
        """Put an operator between a Dequantize of each input and a Quantize of its result."""
        inputs = []
        for name in operator.inputs:
            tensor = self.tensors[name] if name else None
            if tensor is not None and tensor.quantization is not None and name not in self.reals:
                if tensor.data is not None:
                    self.reals[name] = self.constant(f"{name}/reals", real_values(tensor))
                else:
                    self.reals[name] = self.tensor(f"{name}/reals", tensor, dtype="float32", quantization=None)
                    self.add("Dequantize", operator, (name,), self.reals[name], {})
            inputs.append(self.reals.get(name, name))
        target = operator.outputs[0]
        made = self.tensor(f"{target}/reals", self.tensors[target], dtype="float32", quantization=None)
        self.operators.append(replace(operator, inputs=tuple(inputs), outputs=(made,)))
        name = fresh_name(f"{target}/quantize", self.names)
        self.names.add(name)
        self.operators.append(
            Operator(kind="Quantize", name=name, inputs=(made,), outputs=(target,), source="QuantizeLinear")
        )


def _hard_sigmoid(work: _Lowering, operator: Operator) -> bool:
    """alpha * x + beta per channel, clamped by the output's range or, where that is wider than [0, 1], by a Clip."""
    x, output = work.tensors[operator.inputs[0]], work.tensors[operator.outputs[0]]
    if x.dtype != "int8" or output.dtype != "int8" or not x.shape or output.quantization is None:
        return False
    scale, zero_point = output.quantization.scale[0], int(output.quantization.zero_point[0])
    is_clamped = zero_point == -128 and int(np.rint(np.float32(1) / scale)) + zero_point >= 127
    target = output.name
    if not is_clamped:
        target = work.tensor(f"{output.name}/linear", output)
    _affine(work, operator, target, float(operator.attributes["alpha"]), float(operator.attributes["beta"]))
    if not is_clamped:
        work.add("Clip", operator, (target,), output.name, {"min": 0.0, "max": 1.0})
    return True


def _affine(work: _Lowering, operator: Operator, target: str, factor: float, offset: float) -> None:
    """factor * x + offset as a 1x1 depthwise convolution over rank 4, reshaped there and back."""
    x = work.tensors[operator.inputs[0]]
    assert x.quantization is not None
    shape = x.shape if len(x.shape) == 4 else _rank_four(x.shape)
    channels = shape[1]
    weight = np.full((channels, 1, 1, 1), factor, np.float32)
    bias = np.full(channels, offset, np.float32)
    input_scale = float(x.quantization.scale[0])
    scales = weight_scales(weight, bias, input_scale)
    zeros = np.zeros(channels, np.int64)
    parameters = Quantization(scale=scales, zero_point=zeros, axis=0)
    products = Quantization(scale=np.float32(input_scale) * scales, zero_point=zeros, axis=0)
    constants = (
        work.constant(f"{operator.name}/factor", quantize_weight(weight, scales), parameters),
        work.constant(f"{operator.name}/offset", quantize_bias(bias, input_scale, scales), products),
    )
    attributes = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": channels}
    if shape == x.shape:
        work.add("Conv", operator, (x.name, *constants), target, {**attributes, **PLAIN})
        return
    source = work.tensor(f"{x.name}/rank4", x, shape=shape)
    made = work.tensor(f"{target}/rank4", work.tensors[target], shape=shape)
    work.add("Reshape", operator, (x.name,), source, {"shape": shape})
    work.add("Conv", operator, (source, *constants), made, {**attributes, **PLAIN})
    work.add("Reshape", operator, (made,), target, {"shape": x.shape})


def _rank_four(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(n, c, rest, 1) of a shape of another rank, (1, c, 1, 1) of a vector."""
    if len(shape) == 1:
        return (1, shape[0], 1, 1)
    return (shape[0], shape[1], prod(shape[2:]), 1)


def _neg(work: _Lowering, operator: Operator) -> bool:
    """x times -1: TFLite's NEG of integers ignores the zero point."""
    return _product(work, operator, -1.0)


def _div(work: _Lowering, operator: Operator) -> bool:
    """x times the reciprocal of one number."""
    divisor = work.tensors[operator.inputs[1]]
    return _product(work, operator, float(1.0 / real_values(divisor).astype(np.float64).reshape(())))


def _product(work: _Lowering, operator: Operator, factor: float) -> bool:
    """x times one number, held as the integer 1 or -1 with its magnitude as scale: no rounding but the product's."""
    x = work.tensors[operator.inputs[0]]
    if x.data is not None:
        return False
    zero_point = 128 if x.dtype == "uint8" else 0
    sign = np.array(zero_point + (1 if factor > 0 else -1), x.dtype)
    constant = work.constant(f"{operator.name}/factor", sign, per_tensor(np.float32(abs(factor)), zero_point))
    activation = operator.attributes.get("activation", "none")
    work.add("Mul", operator, (x.name, constant), operator.outputs[0], {"activation": activation})
    return True


def _coarser(work: _Lowering, operator: Operator) -> bool:
    """A sum or product whose scale is 256 or more of the output's: on the finest grid that works, then requantized.

    That grid's step is the larger input scale (the product of both for Mul) / 255, placed over the output's range: it
    holds every value that the output can. Half of its step, ratio / 510 of the output's, is what the result may be
    off by.
    """
    inputs = [work.tensors[name] for name in operator.inputs]
    output = work.tensors[operator.outputs[0]]
    if any(tensor.quantization is None or tensor.dtype not in ("int8", "uint8") for tensor in (*inputs, output)):
        return False
    assert output.quantization is not None
    scales = [tensor.quantization.scale[0] for tensor in inputs if tensor.quantization is not None]
    largest = float(scales[0] * scales[1]) if operator.kind == "Mul" else float(max(scales))
    scale = float(output.quantization.scale[0])
    if largest / scale < LARGEST_RATIO + 1:
        return False
    limits = np.iinfo(output.dtype)
    step = np.float32(largest / LARGEST_RATIO)
    low = scale * (limits.min - int(output.quantization.zero_point[0]))
    zero_point = int(np.clip(np.rint(limits.min - low / float(step)), limits.min, limits.max))
    coarse = work.tensor(f"{output.name}/coarse", output, quantization=per_tensor(step, zero_point))
    work.add(operator.kind, operator, operator.inputs, coarse, operator.attributes)
    work.add("Quantize", operator, (coarse,), output.name, {})
    return True


Rules = Mapping[str, Callable[[_Lowering, Operator], bool]]
# Applied in this order: what replaces an operator may need a coarser grid.
REPLACED: Rules = MappingProxyType({"HardSigmoid": _hard_sigmoid, "Neg": _neg, "Div": _div})
COARSER: Rules = MappingProxyType(dict.fromkeys(("Add", "Sub", "Mul"), _coarser))
