"""The integer simulation with gradients: its own values, and slopes straight through its rounding.

Forward, every activation is what the integer simulation computes, bit for bit. Backward, an operator has the gradient
of its float formula, at the real numbers that its integers stand for; rounding counts as the identity, and where the
formula's value leaves the range of the output, at its ends too, the gradient is 0, as in quantization-aware training
(`edge.quantization.qat.fake_quant`; Bengio et al., arXiv 1308.3432, section 4).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from edge.errors import UnsupportedError
from edge.execution.float_run import BUILDERS, in_real_numbers
from edge.execution.integer import build
from edge.execution.kernels.affine import Affine, activation_range, affine
from edge.execution.kernels.qat_operators import run_operator
from edge.execution.walk import Step, constant_tensors
from edge.graph.analyses.batch_axis import batch_axis_user
from edge.graph.graph import Graph, Operator

ROUNDS_NOTHING = frozenset(
    {
        "Concat", "DepthToSpace", "Dequantize", "Expand", "Gather", "MaxPool", "Pad", "Quantize", "ReflectPad",
        "Reshape", "Slice", "SpaceToDepth", "Tile", "Transpose",
    }
)  # fmt: skip
"""Kinds that round nothing when their output has the parameters of their inputs."""

Encode = Callable[[Tensor], Tensor]
"""Real inputs (n, ...), float32, in the graph's layout, to raw ones: in the dtype of the graph's input."""


class WithValue(torch.autograd.Function):
    """One tensor's values with another one's gradient."""

    @staticmethod
    def forward(ctx: Any, through: Tensor, value: Tensor) -> Tensor:
        """The value; the gradient goes through the first."""
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Pass the gradient."""
        return gradient, None


def with_value(through: Tensor, value: Tensor) -> Tensor:
    """`value`, whose gradient is that of `through`."""
    result: Tensor = WithValue.apply(through, value)  # type: ignore[no-untyped-call]  # torch's stub
    return result


@dataclass(frozen=True, kw_only=True)
class _Both:
    """One operator.

    Attributes:
        raw: on integers, or on indices; None where it is float. real: in real numbers; None where it makes indices.
        output: the parameters of its output. ends: the real range outside of which no gradient passes.
    """

    operator: Operator
    raw: Step | None
    real: Step | None
    output: Affine | None
    ends: tuple[float, float] | None


class StraightThrough:
    """Executes a graph with one input, integer or float, with gradients.

    Raises:
        UnsupportedError: an operator without an integer formula or without a gradient, by name.
    """

    def __init__(self, graph: Graph, encode: Encode) -> None:
        self.graph = graph
        self._encode = encode
        real = in_real_numbers(graph)
        self._steps = [_both(graph, real, operator) for operator in graph.operators]
        self._raw_constants, self._real_constants = constant_tensors(graph), constant_tensors(real)
        self._singly = batch_axis_user(graph) is not None

    def __call__(self, images: Tensor) -> Tensor:
        """The first output in real numbers, float32, of real inputs (n, ...), float32, in the graph's layout."""
        if not self._singly:
            return self._run(images)
        return torch.cat([self._run(images[index : index + 1]) for index in range(len(images))])

    def _run(self, images: Tensor) -> Tensor:
        name = self.graph.inputs[0]
        with torch.no_grad():
            raw = {name: self._encode(images)}
        real = {name: images}
        if self.graph.tensors[name].quantization is not None:
            real[name] = with_value(images, _decoded(raw[name], affine(self.graph, self.graph.operators[0], name)))
        for step in self._steps:
            output = step.operator.outputs[0]
            if step.raw is not None:
                with torch.no_grad():
                    raw[output] = step.raw(_given(step.operator, raw, self._raw_constants))
            if step.real is None:
                continue
            value = step.real(_given(step.operator, {**raw, **real}, self._real_constants))
            if step.ends is not None:
                value = functional.hardtanh(value, *step.ends)
            if step.raw is None:
                raw[output] = value.detach()
            else:
                exact = raw[output] if step.output is None else _decoded(raw[output], step.output)
                value = with_value(value, exact)
            real[output] = value
        return real[self.graph.outputs[0]]


def _both(graph: Graph, real: Graph, operator: Operator) -> _Both:
    output = operator.outputs[0]
    integer = any(graph.tensors[name].quantization is not None for name in (*operator.inputs, output) if name)
    raw = build(graph, operator) if integer else None
    if real.tensors[output].dtype != "float32":
        return _Both(operator=operator, raw=raw or _float_step(real, operator), real=None, output=None, ends=None)
    target = None if graph.tensors[output].quantization is None else affine(graph, operator, output)
    formula = _float_step(real, operator, target)
    return _Both(operator=operator, raw=raw, real=formula, output=target, ends=_ends(graph, operator, target))


def _float_step(real: Graph, operator: Operator, target: Affine | None = None) -> Step:
    if operator.kind in ("Quantize", "Dequantize"):
        return lambda values: values[0] if values[0] is not None else torch.empty(0)
    if operator.kind in BOUNDED and target is not None:
        return _bounded(operator, float(target.scale), target.zero_point)
    if operator.kind not in BUILDERS:
        raise UnsupportedError(f"gradients: no float formula for {operator.kind} '{operator.name}'")
    return BUILDERS[operator.kind](real, operator)


BOUNDED = frozenset({"Sqrt", "L2Norm"})
"""Kinds whose slope at 0 has no bound; on a grid they have that of quantization-aware training."""


def _bounded(operator: Operator, scale: float, zero_point: int) -> Step:
    def step(values: Sequence[Tensor | None]) -> Tensor:
        return run_operator(operator, [value for value in values if value is not None], (scale, zero_point))

    return step


def _ends(graph: Graph, operator: Operator, target: Affine | None) -> tuple[float, float] | None:
    """The real range outside of which no gradient passes; None where nothing is rounded."""
    if target is None:
        return None
    activation = operator.attributes.get("activation", "none")
    inputs = [graph.tensors[name] for name in operator.inputs if name]
    moved = [tensor.quantization for tensor in inputs if tensor.data is None]
    output = graph.tensors[operator.outputs[0]].quantization
    if (
        operator.kind in ROUNDS_NOTHING
        and activation == "none"
        and all(one is not None and one.same_as(output) for one in moved)
    ):
        return None
    low, high = activation_range(target, activation)
    scale = float(target.scale)
    return (low - target.zero_point) * scale, (high - target.zero_point) * scale


def _decoded(raw: Tensor, parameters: Affine) -> Tensor:
    return (raw.float() - parameters.zero_point) * float(parameters.scale)


def _given(
    operator: Operator, alive: Mapping[str, Tensor], constants: Mapping[str, Tensor] = MappingProxyType({})
) -> list[Tensor | None]:
    return [(alive[name] if name in alive else constants[name]) if name else None for name in operator.inputs]
