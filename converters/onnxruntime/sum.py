"""Add and Sub for ONNX Runtime with the integers of XNNPACK's fixed-point sum.

ONNX Runtime's QLinearAdd computes in float32, which rounds a few of the 65,536 pairs of operands otherwise than the
fixed-point sum does. Where it rounds none otherwise, in whatever order it evaluates, that fast kernel is used; else the
sum is spelled out in float64, which holds every intermediate value exactly.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from converters.onnx.operators.builder import Builder
from converters.onnx.operators.node import Writer, same_name
from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.passes.recompose import LIMITS, SumConstants, sum_constants

Values = npt.NDArray[np.float32]
# Kinds that may be written without a QuantizeLinear or DequantizeLinear that says their tensors' parameters.
MAY_SAY_NOTHING = frozenset({"Add", "Sub", "Resize", "AveragePool", "ArgMax"})


def write_sum(out: Builder, operator: Operator) -> None:
    """Write an Add or Sub without its rectifier: two uint8 activations exactly, anything else as the QDQ form does."""
    constants = exact_constants(out.graph, operator)
    if constants is None or _kernel_is_exact(out.graph, operator, constants):
        same_name(out, operator)
        return
    name = operator.outputs[0]
    parts = []
    for side, source, weight in zip(("first", "second"), operator.inputs, constants.weights, strict=True):
        wide, part = f"{name}/{side}", f"{name}/{side}_part"
        out.node("Cast", (out.raw(source),), (wide,), f"{operator.name}/{side}", to=TensorProto.DOUBLE)
        factor = out.constant(f"{name}/{side}_weight", np.array(weight, np.float64))
        out.node("Mul", (wide, factor), (part,), f"{operator.name}/{side}_part")
        parts.append(part)
    offset = out.constant(f"{name}/offset", np.array(constants.offset, np.float64))
    limits = [out.constant(f"constant_double_{value:g}", np.array(value, np.float64)) for value in LIMITS]
    out.node("Add", parts, (f"{name}/sum",), operator.name)
    out.node("Add", (f"{name}/sum", offset), (f"{name}/half_up",), f"{operator.name}/half_up")
    out.node("Clip", (f"{name}/half_up", *limits), (f"{name}/clamped",), f"{operator.name}/clamp")
    out.node("Cast", (f"{name}/clamped",), (name,), f"{operator.name}/truncate", to=TensorProto.UINT8)


def exact_constants(graph: Graph, operator: Operator) -> SumConstants | None:
    """The constants of the spelled-out sum; None where it has no such form, or a reader could not find its parameters.

    The spelled-out sum carries no scales. They are read from the QuantizeLinear and DequantizeLinear of the operators
    around it.
    """
    tensors = [graph.tensors[name] for name in (*operator.inputs, *operator.outputs)]
    if any(tensor.dtype != "uint8" or tensor.data is not None or tensor.quantization is None for tensor in tensors):
        return None
    for tensor in tensors:
        users = (entry for entry in graph.operators if tensor.name in (*entry.inputs, *entry.outputs))
        if all(entry.kind in MAY_SAY_NOTHING for entry in users):
            return None
    first, second, output = (tensor.quantization for tensor in tensors)
    assert first is not None and second is not None and output is not None
    return sum_constants(operator.kind, first, second, output)


def _kernel_is_exact(graph: Graph, operator: Operator, constants: SumConstants) -> bool:
    """Whether ONNX Runtime's integer kernel gives the fixed-point sum's integer for every pair of operands."""
    if operator.kind != "Add":
        return False  # there is no integer kernel for Sub
    q = np.arange(256, dtype=np.float64)
    exact = np.floor(np.clip(constants.weights[0] * q[:, None] + constants.weights[1] * q + constants.offset, *LIMITS))
    sources = [_Operand(tensor=graph.tensors[name]) for name in operator.inputs]
    target = _Operand(tensor=graph.tensors[operator.outputs[0]])
    return all(
        np.array_equal(np.clip(np.rint(total), 0, 255), exact)
        for total in _float32_sums(sources[0], sources[1], target)
    )


@dataclass(frozen=True, kw_only=True)
class _Operand:
    """A tensor's parameters."""

    tensor: Tensor

    @property
    def scale(self) -> np.float32:
        assert self.tensor.quantization is not None
        return np.float32(self.tensor.quantization.scale[0])

    @property
    def zero_point(self) -> np.float32:
        assert self.tensor.quantization is not None
        return np.float32(self.tensor.quantization.zero_point[0])


def _float32_sums(first: _Operand, second: _Operand, target: _Operand) -> Iterator[Values]:
    """All pairs' sums before rounding, (256, 256), in every order that a float32 kernel may evaluate them in.

    The part that no operand changes is computed once, in orders that a compiler chooses, fused or not: every float32
    from one ulp below the least to one above the greatest of its values counts.
    """
    a, b = np.arange(256, dtype=np.float32)[:, None], np.arange(256, dtype=np.float32)[None, :]
    r_a, r_b = np.float32(first.scale / target.scale), np.float32(second.scale / target.scale)
    for fixed in _fixed_parts(r_a, r_b, first, second, target):
        yield _fused(a, r_a, _fused(b, r_b, fixed))
        yield _fused(b, r_b, _fused(a, r_a, fixed))
        yield _fused(a, r_a, b * r_b + fixed)
        yield _fused(b, r_b, a * r_a + fixed)
        yield a * r_a + (b * r_b + fixed)
        yield b * r_b + (a * r_a + fixed)
        yield (a * r_a + b * r_b) + fixed
    from_zero_a, from_zero_b = a - first.zero_point, b - second.zero_point
    yield (from_zero_a * r_a + from_zero_b * r_b) + target.zero_point
    yield _fused(from_zero_a, r_a, from_zero_b * r_b) + target.zero_point
    yield _fused(from_zero_b, r_b, from_zero_a * r_a) + target.zero_point


def _fixed_parts(
    r_a: np.float32, r_b: np.float32, first: _Operand, second: _Operand, target: _Operand
) -> Iterator[np.float32]:
    """What a kernel may take for z_out - (r_a * z_a + r_b * z_b)."""
    z_a, z_b, z_out = np.array([first.zero_point, second.zero_point, target.zero_point], np.float32)
    zeros = [r_a * z_a + r_b * z_b, _fused(z_a, r_a, r_b * z_b), _fused(z_b, r_b, r_a * z_a)]
    parts = [z_out - zero for zero in zeros]
    part, last = (np.nextafter(end, np.float32(side)) for end, side in ((min(parts), -np.inf), (max(parts), np.inf)))
    while part <= last:
        yield part
        part = np.nextafter(part, np.float32(np.inf))


def _fused(values: Values | np.float32, factor: np.float32, addend: Values | np.float32) -> Values:
    """values * factor + addend, rounded once. The product of two float32 is exact in float64."""
    return (values.astype(np.float64) * np.float64(factor) + np.asarray(addend, np.float64)).astype(np.float32)


SUMS: dict[str, Writer] = {"Add": write_sum, "Sub": write_sum}
