"""Giving kernels that cannot change parameters what they demand, by explicit changes of parameters around them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from edge.artifact.scheme import FIXED, INT16_FIXED, TIED
from edge.graph.graph import Graph, Operator, Quantization, Tensor, per_tensor
from edge.graph.passes.rewrite import fresh_name, rebuild

# What the mean of a linear Resize keeps of an independent rounding error's variance: (2/3)**2 of it.
RESIZE_CELLS = 2.25


FIXED_OUTPUTS = {"int8": FIXED, "int16": INT16_FIXED}
# Kinds of several inputs, which are changed to the output's parameters.
JOINING = frozenset({"Concat", "Min", "Max"})


def tie_parameters(graph: Graph) -> Graph:
    """Put a Quantize from integers to integers where a kernel cannot give the parameters that its output has.

    Three kinds of kernels: the inputs of a Concat, Min or Max are changed to the output's parameters; a kernel with
    fixed parameters (Softmax, Sigmoid, ...) writes those and its output is changed; any other tied operator works in
    its input's parameters and its output is changed, or, if it averages and that rounds less, its input is changed
    and it works in the output's (see `_change_first`). Graphs of our own calibration and
    training are tied but for fixed outputs that join others; files of other tools often are not.

    Requires: Q/DQ pairs collapsed; int8 or int16 activations.
    Ensures: every operator of `TIED` over integers has the same parameters on its activations, and every one of
    `FIXED` the kernel's. This adds one rounding at each change.
    """
    work = _Ties(graph)
    for operator in graph.operators:
        output = graph.tensors[operator.outputs[0]]
        if output.quantization is None:
            work.operators.append(operator)
        elif operator.kind in FIXED_OUTPUTS.get(output.dtype, {}):
            work.through(operator, per_tensor(*FIXED_OUTPUTS[output.dtype][operator.kind]))
        elif operator.kind not in TIED or work.tensors[operator.inputs[0]].quantization is None:
            work.operators.append(operator)
        elif operator.kind in JOINING or _change_first(graph, operator):
            inputs = tuple(work.changed(name, output) for name in operator.inputs)
            work.operators.append(replace(operator, inputs=inputs))
        else:
            source = work.tensors[operator.inputs[0]]
            assert source.quantization is not None
            work.through(operator, source.quantization)
    return rebuild(graph, work.operators, work.tensors)


class _Ties:
    """The operators and tensors so far."""

    def __init__(self, graph: Graph) -> None:
        self.tensors: dict[str, Tensor] = dict(graph.tensors)
        self.operators: list[Operator] = []
        self.names = {operator.name for operator in graph.operators}

    def through(self, operator: Operator, quantization: Quantization) -> None:
        """Let an operator write these parameters, and change them to its output's if they differ."""
        output = self.tensors[operator.outputs[0]]
        if quantization.same_as(output.quantization):
            self.operators.append(operator)
            return
        before = fresh_name(f"{output.name}/tied", self.tensors)
        self.tensors[before] = replace(output, name=before, quantization=quantization)
        self.operators.append(replace(operator, outputs=(before,)))
        self._quantize(before, output.name)

    def changed(self, name: str, wanted: Tensor) -> str:
        """The tensor in the wanted parameters: through a Quantize unless it has them; a constant is computed."""
        tensor = self.tensors[name] if name else None
        if tensor is None or tensor.quantization is None or _same(tensor, wanted):
            return name
        target = fresh_name(f"{name}/as/{wanted.name}", self.tensors)
        self.tensors[target] = replace(
            tensor,
            name=target,
            dtype=wanted.dtype,
            quantization=wanted.quantization,
            data=None if tensor.data is None else _requantized(tensor, wanted),
        )
        if tensor.data is None:
            self._quantize(name, target)
        return target

    def _quantize(self, source: str, target: str) -> None:
        name = fresh_name(f"{target}/requantize", self.names)
        self.names.add(name)
        self.operators.append(
            Operator(kind="Quantize", name=name, inputs=(source,), outputs=(target,), source="QuantizeLinear")
        )


def _same(left: Tensor, right: Tensor) -> bool:
    return left.dtype == right.dtype and left.quantization is not None and left.quantization.same_as(right.quantization)


def _requantized(tensor: Tensor, wanted: Tensor) -> np.ndarray[Any, Any]:
    """A constant's integers in other per-tensor parameters, rounded half to even in float64."""
    assert tensor.data is not None and tensor.quantization is not None and wanted.quantization is not None
    real = (tensor.data.astype(np.float64) - tensor.quantization.zero_point[0]) * float(tensor.quantization.scale[0])
    limits = np.iinfo(wanted.dtype)
    integers = np.rint(real / float(wanted.quantization.scale[0])) + wanted.quantization.zero_point[0]
    return np.asarray(np.clip(integers, limits.min, limits.max).astype(wanted.dtype))


def _change_first(graph: Graph, operator: Operator) -> bool:
    """Whether an averaging operator comes closer to real arithmetic in its output's parameters than in its input's.

    It rounds its own result to the grid that it works on: an error of variance s**2 / 12 on its input's. Changing the
    input first puts s_out**2 / 12 on every value instead, of which a mean over n cells keeps 1 / n. That is less
    where s_out**2 < n * s_in**2, and holds only where the output's range cuts nothing off its input's.
    """
    if operator.kind not in CELLS:
        return False
    source, target = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    assert source.quantization is not None and target.quantization is not None
    if source.dtype != target.dtype or _same(source, target):
        return False
    (low, high), (target_low, target_high) = _range(source), _range(target)
    step_in, step_out = float(source.quantization.scale[0]), float(target.quantization.scale[0])
    covered = target_low <= low + step_out / 2 and target_high >= high - step_out / 2
    return covered and step_out**2 < CELLS[operator.kind](operator) * step_in**2


def _range(tensor: Tensor) -> tuple[float, float]:
    assert tensor.quantization is not None
    return tensor.quantization.limits(tensor.dtype)


def _resize_cells(operator: Operator) -> float:
    return RESIZE_CELLS if operator.attributes["mode"] == "linear" else 0.0


# kind -> over how many cells' worth of values an operator averages
CELLS: dict[str, Callable[[Operator], float]] = {
    "AveragePool": lambda operator: float(operator.attributes["kernel"][0] * operator.attributes["kernel"][1]),
    "Resize": _resize_cells,
}
