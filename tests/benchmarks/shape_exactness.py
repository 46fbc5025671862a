"""Layers with other shapes, and moved values: which reading LiteRT computes, and what its other kernels do.

`python -m tests.benchmarks.shape_exactness` prints, per reading, how many values differ from LiteRT's default
kernels on inputs that tell the readings apart, and per operator how many differ in each kernel set on random ones.
"""

import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from edge.execution.kernels import fixed_point
from edge.graph.graph import Graph, Tensor
from tests.benchmarks import readings
from tests.benchmarks.exactness import Case, convolution, random_parameters, report
from tests.benchmarks.math_exactness import kernel_sets
from tests.support.one_operator import Parameters, activation, graph_of, weight_and_bias

Array = npt.NDArray[Any]
Random = np.random.Generator
F32 = np.float32
DEPTH = 17
LARGEST_SUM = 240_000


def conv_transpose(random: Random) -> Case:
    """As the convolution's case: the input is its own zero point, the bias is the accumulator next to a tie."""
    case = convolution(random)
    operator = case.graph.operators[0]
    source, target = (case.graph.tensors[name] for name in (operator.inputs[0], operator.outputs[0]))
    constants = [case.graph.tensors[name] for name in operator.inputs[1:]]
    graph = graph_of("ConvTranspose", (source,), target, dict(operator.attributes), constants)
    return Case(operator="ConvTranspose", graph=graph, inputs=case.inputs, others=case.others)


def matmul(random: Random, zero_point: int) -> Case:
    """One row times columns that give every telling sum: next to ties, where readings of the multiplier differ.

    Args:
        zero_point: of the second operand; with 0 XNNPACK takes the operator, else the built-in kernel.
    """
    best: tuple[int, Case] | None = None
    sums = np.arange(-LARGEST_SUM, LARGEST_SUM + 1)
    for _ in range(8):
        scales = [float(F32(2.0 ** random.uniform(-6, -2))) for _ in range(2)]
        first = Parameters(scale=scales[0], zero_point=0)
        second = Parameters(scale=scales[1], zero_point=zero_point)
        step = first.scale * second.scale * LARGEST_SUM / random.uniform(90, 127)
        out = Parameters(scale=float(F32(step)), zero_point=0)
        double = first.scale * second.scale / out.scale
        single = float(F32(first.scale) * F32(second.scale)) / out.scale
        twice, other, once = _twice(sums, single), _twice(sums, double), _once(sums, single)
        telling = np.flatnonzero((twice != other) | (twice != once))
        chosen = sums[telling[:: max(1, telling.size // 500)]]
        chosen = np.union1d(chosen, sums[twice != other])
        count = int(np.count_nonzero(twice != other))
        if best is not None and count <= best[0]:
            continue
        graph, inputs = _product(chosen, first, second, out)
        factor = F32(F32(first.scale) * F32(second.scale)) / F32(out.scale)
        fixed = readings.clamped(_twice(chosen, single))
        others: dict[str, Array] = {"31-bit fixed point, two roundings": fixed}
        if zero_point:
            others = {
                "product of the scales in double": readings.clamped(_twice(chosen, double)),
                "31-bit fixed point, one rounding": readings.clamped(_once(chosen, single)),
                "float32 multiplier": readings.clamped(np.rint(chosen.astype(F32) * factor)),
            }
        name = f"MatMul, zero point of b {zero_point}"
        best = count, Case(operator=name, graph=graph, inputs=inputs, others=others)
    assert best is not None
    return best[1]


def _twice(sums: Array, real: float) -> Array:
    factor, exponent = fixed_point.mantissa(real, 31)
    return fixed_point.shifted(fixed_point.high_product(sums, factor, 31), -exponent)


def _once(sums: Array, real: float) -> Array:
    fraction, exponent = math.frexp(real)
    shift = 31 - exponent
    return np.asarray((sums * round(fraction * 2**31) + (1 << (shift - 1))) >> shift)


def _product(sums: Array, first: Parameters, second: Parameters, out: Parameters) -> tuple[Graph, list[Array]]:
    """A row of 127s and a 1, and for every sum the column that makes it."""
    columns = np.zeros((DEPTH, sums.size), np.int64)
    rest = sums.astype(np.int64)
    for index in range(DEPTH - 1):
        columns[index] = np.clip(np.rint(rest / 127), -120, 120)
        rest = rest - 127 * columns[index]
    columns[DEPTH - 1] = rest
    columns += second.zero_point
    row = np.array([127] * (DEPTH - 1) + [1], np.int8)[None, None]
    inputs = [row, columns.astype(np.int8)[None]]
    given = (activation("a", row.shape, first), activation("b", inputs[1].shape, second))
    return graph_of("MatMul", given, activation("y", (1, 1, sums.size), out), {}), inputs


CASES: Mapping[str, Callable[[Random], Case]] = {
    "conv transpose": conv_transpose,
    "matmul": lambda random: matmul(random, 0),
    "matmul built-in": lambda random: matmul(random, 5),
}


def _layer(random: Random, kind: str, shape: tuple[int, ...], weight_shape: tuple[int, ...], **changed: Any) -> Graph:
    """A layer with random parameters per channel whose results use the whole range."""
    given = Parameters(scale=1.0, zero_point=int(random.integers(-128, 128)))
    outputs, fan_in = weight_shape[0], math.prod(weight_shape[1:])
    scale = (2.0 ** random.uniform(-2, 2, outputs) / (np.sqrt(fan_in) * 5000)).astype(F32)
    weight, bias = random.integers(-127, 128, weight_shape), random.integers(-30000, 30000, outputs)
    constants = weight_and_bias(weight, scale, bias, F32(given.scale))
    out = Parameters(scale=0.02, zero_point=int(random.integers(-128, 128)))
    attributes: dict[str, Any] = {"activation": "none"}
    target = (*shape[:-1], outputs)
    if kind != "Gemm":
        attributes |= {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
        target = (1, *changed.pop("output_hw"), outputs)
    return graph_of(
        kind, (activation("x", shape, given),), activation("y", target, out), attributes | changed, constants
    )


def _moved(random: Random, kind: str, output: tuple[int, ...], **attributes: Any) -> Graph:
    """A moving operator over (1, 8, 8, 16)."""
    shared = random_parameters(random)
    constants = []
    if kind == "Gather":
        places = random.integers(0, 16, 16)
        constants.append(Tensor(name="i", shape=(16,), dtype="int64", data=places))
    source, target = activation("x", (1, 8, 8, 16), shared), activation("y", output, shared)
    return graph_of(kind, (source,), target, attributes, constants)


def _random_matmul(random: Random, zero_point: int) -> Graph:
    first = random_parameters(random)
    second = Parameters(scale=random_parameters(random).scale, zero_point=zero_point)
    out = Parameters(scale=float(F32(first.scale * second.scale * 12 * 75 * 75 / 40)), zero_point=3)
    given = (activation("a", (1, 4, 16, 144), first), activation("b", (1, 4, 144, 16), second))
    return graph_of("MatMul", given, activation("y", (1, 4, 16, 16), out), {})


RANDOM: Mapping[str, Callable[[Random], Graph]] = {
    "Conv, 4 groups": lambda random: _layer(random, "Conv", (1, 8, 8, 16), (16, 4, 3, 3), group=4, output_hw=(6, 6)),
    "Conv 1x5, dilated": lambda random: _layer(
        random, "Conv", (1, 8, 16, 16), (16, 16, 1, 5), dilations=(1, 2), output_hw=(8, 8)
    ),
    "ConvTranspose 4x4 / 2": lambda random: _layer(
        random, "ConvTranspose", (1, 8, 8, 16), (16, 16, 4, 4), strides=(2, 2), pads=(1, 1, 1, 1), output_hw=(16, 16)
    ),
    "Gemm over 3 axes": lambda random: _layer(random, "Gemm", (2, 8, 144), (64, 144)),
    "MatMul, zero point of b 0": lambda random: _random_matmul(random, 0),
    "MatMul, zero point of b 5": lambda random: _random_matmul(random, 5),
    "Gather": lambda random: _moved(random, "Gather", (1, 8, 8, 16), axis=3),
    "DepthToSpace": lambda random: _moved(random, "DepthToSpace", (1, 16, 16, 4), block=2, mode="DCR"),
    "SpaceToDepth": lambda random: _moved(random, "SpaceToDepth", (1, 4, 4, 64), block=2),
    "Tile": lambda random: _moved(random, "Tile", (1, 16, 8, 32), repeats=(1, 2, 1, 2)),
    "ReflectPad": lambda random: _moved(random, "ReflectPad", (1, 11, 12, 16), pads=((0, 0), (1, 2), (4, 0), (0, 0))),
    "Slice, backwards": lambda random: _moved(
        random, "Slice", (1, 8, 4, 16), begin=(0, 7, 7, 0), end=(1, -1, -1, 16), strides=(1, -1, -2, 1)
    ),
}


def main() -> int:
    """Print both tables; exit code 1 if the simulation differs anywhere."""
    code = report(CASES)
    Console(width=max(110, Console().width)).print(kernel_sets(RANDOM))
    return code


if __name__ == "__main__":
    sys.exit(main())
