"""Functions of one int16 value: rectifiers, Sigmoid, Tanh, changes of parameters, Softmax; the built-in kernels.

Sigmoid and Tanh interpolate in a 256-entry table of sigmoid(i / 24) with 16 fraction bits; Softmax in 513-entry tables
of exp on [-10, 0] and of 1 / (1 + x) on [0, 1]. Their outputs have scale 1 / 32768.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch

from edge.execution.kernels.affine import TORCH_DTYPES, Affine, Kernel, affine, given, refuse
from edge.execution.kernels.int16_fixed_point import (
    INT16_MAX,
    INT16_MIN,
    half_away,
    interpolation_table,
    look_up,
    rescaled,
)
from edge.execution.kernels.pointwise import clip_bounds
from edge.graph.graph import Graph, Operator

F32 = np.float32
SIGMOID_STEPS_PER_UNIT = 24
# Entries of the table that the kernel has one higher than the rounded function, read out of it.
ONE_MORE = (
    *(4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41, 43, 44, 45, 46),
    *(49, 50, 54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255),
)
# Input scales for which the optimized kernels compute Sigmoid and Tanh without the table.
POWERS_OF_TWO = (2.0**-12, 2.0**-11)
EXP_RANGE = 10.0
SMALLEST_EXP_SHIFT = 13


def clip(graph: Graph, operator: Operator) -> Kernel:
    """Relu, Relu6 and Clip that stand alone: a change of parameters, then a clamp."""
    source, target = (affine(graph, operator, name) for name in (operator.inputs[0], operator.outputs[0]))
    lower, upper = clip_bounds(operator)
    low = INT16_MIN if math.isinf(lower) else _on_grid(lower, target)
    high = INT16_MAX if math.isinf(upper) else _on_grid(upper, target)
    real = float(source.scale / target.scale)
    return lambda values: rescaled(given(values, 0).long(), real).clamp_(low, high).to(target.dtype)


def _on_grid(real: float, target: Affine) -> int:
    return int(np.clip(half_away(float(F32(real) / target.scale)), INT16_MIN, INT16_MAX))


def _require_unit_output(operator: Operator, target: Affine) -> None:
    if float(target.scale) != 1 / 32768:
        raise refuse(operator, f"the output's scale is {target.scale}; the int16 kernel is fixed to 1 / 32768")


def _input_rescale(scale: float) -> tuple[int, int]:
    """Multiplier and shift that bring an input to 3 * 4096 steps a unit, the multiplier truncated."""
    real, shift = scale * 4096.0 * 3.0, 0
    while real <= 32767.0 / 2.0 and shift <= 30:
        real, shift = real * 2.0, shift + 1
    return int(real), shift


def _sigmoid_table() -> torch.Tensor:
    exact = np.rint(65536 / (1 + np.exp(-np.arange(256) / SIGMOID_STEPS_PER_UNIT))).astype(np.int64)
    exact[list(ONE_MORE)] += 1
    return torch.from_numpy(np.minimum(exact, 65535))


def _refuse_power_of_two(operator: Operator, source: Affine) -> None:
    if float(source.scale) in POWERS_OF_TWO:
        raise refuse(
            operator, f"the input's scale is {source.scale}, for which LiteRT has another kernel; move it a bit"
        )


def _scaled_input(value: torch.Tensor, factor: int, shift: int) -> torch.Tensor:
    half = 1 << (shift - 1) if shift > 0 else 0
    return (value.long() * factor + half) >> shift


def _interpolated(table: torch.Tensor, scaled: torch.Tensor, bits: int, largest: int) -> torch.Tensor:
    """The table at |scaled| / 2**bits, with `bits` more fraction bits than its entries; `largest` beyond its end."""
    size = scaled.abs()
    place, part = size >> bits, size & ((1 << bits) - 1)
    first = table[place.clamp(max=255)]
    between = (first << bits) + part * (table[(place + 1).clamp(max=255)] - first)
    return torch.where(place >= 255, torch.full_like(between, largest), between)


def sigmoid(graph: Graph, operator: Operator) -> Kernel:
    """1 / (1 + exp(-x))."""
    source, target = (affine(graph, operator, name) for name in (operator.inputs[0], operator.outputs[0]))
    _require_unit_output(operator, target)
    _refuse_power_of_two(operator, source)
    factor, shift = _input_rescale(float(source.scale))
    table = _sigmoid_table()

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        scaled = _scaled_input(given(values, 0), factor, shift)
        result = _interpolated(table, scaled, 9, 0x7FFF << 10)
        result = torch.where(scaled >= 0, result + (1 << 9), (1 << 25) - result + (1 << 9) - 1)
        return (result >> 10).to(target.dtype)

    return kernel


def tanh(graph: Graph, operator: Operator) -> Kernel:
    """2 * sigmoid(2 x) - 1, in the same table."""
    source, target = (affine(graph, operator, name) for name in (operator.inputs[0], operator.outputs[0]))
    _require_unit_output(operator, target)
    _refuse_power_of_two(operator, source)
    factor, shift = _input_rescale(float(source.scale))
    table = _sigmoid_table()

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        scaled = _scaled_input(given(values, 0), factor, shift)
        result = _interpolated(table, scaled, 8, 0xFFFF << 8)
        less, round_ = 1 << 23, 1 << 7
        result = torch.where(scaled >= 0, result - less + round_, -result + less + round_ - 1)
        return (result >> 8).to(target.dtype)

    return kernel


def softmax(graph: Graph, operator: Operator) -> Kernel:
    """Softmax over an axis."""
    source, target = (affine(graph, operator, name) for name in (operator.inputs[0], operator.outputs[0]))
    _require_unit_output(operator, target)
    exponentials = torch.from_numpy(interpolation_table(math.exp, -EXP_RANGE, 0.0, 32768.0))
    reciprocals = torch.from_numpy(interpolation_table(lambda x: 1 / (1 + x), 0.0, 1.0, 32768.0))
    real = float(source.scale) / (EXP_RANGE / 65535.0)
    axis = int(operator.attributes["axis"])

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        value = given(values, 0).movedim(axis, -1).long()
        below = rescaled(value - value.amax(dim=-1, keepdim=True), real)
        parts = look_up((below + INT16_MAX).clamp_(INT16_MIN, INT16_MAX), exponentials)
        total = parts.sum(dim=-1, keepdim=True)
        headroom = 32 - torch.floor(torch.log2(total.double())).long() - 1  # leading zeros of 32 bits
        shifted = ((total << (headroom - 1)) + (1 << SMALLEST_EXP_SHIFT)) >> (SMALLEST_EXP_SHIFT + 1)
        reciprocal = look_up((shifted - (1 << 15) - (1 << 16)).clamp_(INT16_MIN, INT16_MAX), reciprocals)
        shift = 31 - headroom
        half = torch.ones_like(shift) << (shift - 1)
        result = (parts * reciprocal + half) >> shift
        return result.clamp_(0, INT16_MAX).to(target.dtype).movedim(-1, axis)

    return kernel


def quantize(graph: Graph, operator: Operator) -> Kernel:
    """Quantize: float32 to int16 (rint(x * (1 / s))), or integers to other parameters."""
    target = affine(graph, operator, operator.outputs[0])
    if graph.tensors[operator.inputs[0]].quantization is not None:
        source = affine(graph, operator, operator.inputs[0])
        real = float(source.scale) / float(target.scale)

        def change(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
            moved = rescaled(given(values, 0).long() - source.zero_point, real) + target.zero_point
            return moved.clamp_(target.low, target.high).to(target.dtype)

        return change
    inverse = float(F32(1) / target.scale)

    def kernel(values: Sequence[torch.Tensor | None]) -> torch.Tensor:
        rounded = given(values, 0).float().mul(inverse).round_()
        return rounded.clamp_(target.low, target.high).to(target.dtype)

    return kernel


def dequantize(graph: Graph, operator: Operator) -> Kernel:
    """Dequantize: float32 s * q."""
    source = affine(graph, operator, operator.inputs[0])
    if graph.tensors[operator.outputs[0]].dtype != "float32":
        raise refuse(operator, f"output is {graph.tensors[operator.outputs[0]].dtype}, not float32")
    scale = float(source.scale)
    return lambda values: given(values, 0).float().mul_(scale)


def cast(graph: Graph, operator: Operator) -> Kernel:
    """Cast of the integers themselves, as an arg-max over int16 needs it: LiteRT has one for int32 only."""
    dtype = graph.tensors[operator.outputs[0]].dtype
    if dtype not in ("int32", "int64"):
        raise refuse(operator, f"int16 becomes {dtype}; only int32 and int64 hold the integers themselves")
    return lambda values: given(values, 0).to(TORCH_DTYPES[dtype])
