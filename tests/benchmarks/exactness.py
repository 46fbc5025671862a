"""Which reading of each formula LiteRT computes: `python -m tests.benchmarks.exactness`.

Every case is a one-operator model whose inputs tell the readings apart. Printed per reading: how many values differ
from LiteRT's. The first reading of each case is the integer simulation; docs/fidelity.md holds the formulas.
"""

import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table

from edge.evaluation.fidelity import Difference, integer_difference
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from tests.benchmarks import readings
from tests.support.one_operator import (
    Parameters,
    activation,
    conv_graph,
    graph_of,
    litert_outputs,
)

Array = npt.NDArray[Any]
F32 = np.float32
SIMULATION = "integer simulation"
ALL = np.arange(-128, 128).astype(np.int8).reshape(1, 16, 16, 1)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model, its inputs, and the other readings of what it computes."""

    operator: str
    graph: Graph
    inputs: list[Array]
    others: Mapping[str, Array]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one reading showed against LiteRT."""

    operator: str
    kernels: str
    reading: str
    difference: Difference


def random_parameters(random: np.random.Generator, low: float = -6, high: float = -2) -> Parameters:
    """A scale between 2**low and 2**high, any zero point."""
    return Parameters(scale=float(F32(2.0 ** random.uniform(low, high))), zero_point=int(random.integers(-128, 128)))


def convolution(random: np.random.Generator, channels: int = 2000) -> Case:
    """1x1 convolution whose input is its zero point, so that the bias is the accumulator: chosen next to a tie.

    In every channel the two float32 multipliers (step by step; in double and cast once) differ, and so do the results.
    """
    given, out = Parameters(scale=float(F32(0.0235)), zero_point=3), Parameters(scale=float(F32(0.0471)), zero_point=0)
    s_in, s_out = F32(given.scale), F32(out.scale)
    scales: list[np.float32] = []
    totals: list[int] = []
    while len(scales) < channels:
        weight = F32(2.0 ** random.uniform(-16, -15))
        stepped, single = (s_in * weight) / s_out, F32(float(s_in) * float(weight) / float(s_out))
        if stepped == single:
            continue
        ties = np.arange(-120, 120) + 0.5
        near = np.rint(ties / float(stepped)).astype(np.int64)
        telling = near[np.rint(near.astype(F32) * stepped) != np.rint(near.astype(F32) * single)]
        if telling.size:
            scales.append(weight)
            totals.append(int(random.choice(telling)))
    weight_scale, total = np.array(scales, F32), np.array(totals, np.int64)
    source, target = activation("x", (1, 1, 1, 4), given), activation("y", (1, 1, 1, channels), out)
    weights = random.integers(-127, 128, (channels, 4, 1, 1))
    graph = conv_graph(source, target, weights, weight_scale, total)
    arguments = (total, s_in, weight_scale, s_out, out.zero_point)
    return Case(
        operator="Conv: multiplier",
        graph=graph,
        inputs=[np.full((1, 1, 1, 4), given.zero_point, np.int8)],
        others={
            "multiplier in double, cast once": readings.conv_double_multiplier(*arguments),
            "all in double": readings.conv_double(*arguments),
            "31-bit fixed point": readings.conv_fixed_point(*arguments),
        },
    )


def convolution_ties(random: np.random.Generator) -> Case:
    """Accumulators that lie exactly on a tie: the multiplier is 1/2 and they are odd."""
    total = np.arange(-201, 201, 2)
    given, out = Parameters(scale=0.5, zero_point=0), Parameters(scale=1.0, zero_point=0)
    source, target = activation("x", (1, 1, 1, 4), given), activation("y", (1, 1, 1, total.size), out)
    weight_scale = np.ones(total.size, F32)
    graph = conv_graph(source, target, random.integers(-127, 128, (total.size, 4, 1, 1)), weight_scale, total)
    other = readings.conv_half_away(total, F32(0.5), weight_scale, F32(1), 0)
    inputs = [np.zeros((1, 1, 1, 4), np.int8)]
    return Case(operator="Conv: ties", graph=graph, inputs=inputs, others={"half away from zero": other})


def every_pair() -> tuple[Array, Array]:
    """All 65,536 pairs of int8 values, (1, 256, 256, 1) each."""
    values = np.arange(-128, 128).astype(np.int8)
    first, second = np.meshgrid(values, values, indexing="ij")
    return first[None, :, :, None], second[None, :, :, None]


def binary(random: np.random.Generator, kind: str) -> Case:
    """Add or Mul of every pair of values; the factors are powers of two, so that ties occur."""
    first, second = Parameters(scale=0.1, zero_point=5), Parameters(scale=0.1, zero_point=-9)
    out = Parameters(scale=0.2, zero_point=1)
    if kind == "Mul":
        first, second = Parameters(scale=0.0625, zero_point=5), Parameters(scale=0.125, zero_point=-9)
        out = Parameters(scale=0.25, zero_point=1)
    a, b = every_pair()
    shape = (1, 256, 256, 1)
    inputs = (activation("a", shape, first), activation("b", shape, second))
    graph = graph_of(kind, inputs, activation("y", shape, out), {"activation": "none"})
    if kind == "Add":
        others: dict[str, Array] = {"float32 ratios": readings.add_float(a, b, first, second, out)}
    else:
        others = {"half away from zero": readings.mul_half_away(a, b, first, second, out)}
    return Case(operator=kind, graph=graph, inputs=[a, b], others=others)


def mean(random: np.random.Generator) -> Case:
    """Global mean of 7x7 with the factor 0.1: a tenth of the sums lie on a tie, and the zero point is odd."""
    given, out = Parameters(scale=0.098, zero_point=-3), Parameters(scale=0.02, zero_point=-99)
    x = random.integers(-128, 128, (1, 7, 7, 4096)).astype(np.int8)
    x = np.asarray(np.floor_divide(x, 16) - 3, np.int8)
    source, target = activation("x", x.shape, given), activation("y", (1, 1, 1, 4096), out)
    graph = graph_of("Mean", (source,), target, {"axes": (1, 2), "keepdims": True})
    other = readings.mean_centred(x, given, out).reshape(1, 1, 1, -1)
    return Case(operator="Mean", graph=graph, inputs=[x], others={"zero points outside the rounding": other})


def average_pool(random: np.random.Generator) -> Case:
    """2x2 average: a quarter of the sums are ties."""
    shared = Parameters(scale=0.1, zero_point=-7)
    x = random.integers(-128, 128, (1, 2, 2, 8192)).astype(np.int8)
    source, target = activation("x", x.shape, shared), activation("y", (1, 1, 1, 8192), shared)
    attributes = {"kernel": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0), "count_include_pad": False}
    graph = graph_of("AveragePool", (source,), target, {**attributes, "activation": "none"})
    others = {
        "half even, centred": readings.pool_half_even(x, shared.zero_point).reshape(1, 1, 1, -1),
        "half up, raw": readings.pool_half_up(x).reshape(1, 1, 1, -1),
    }
    return Case(operator="AveragePool", graph=graph, inputs=[x], others=others)


def resize(random: np.random.Generator, size_hw: tuple[int, int], label: str) -> Case:
    """Bilinear, half-pixel centres."""
    shared = Parameters(scale=0.1, zero_point=-7)
    x = random.integers(-128, 128, (1, 8, 6, 64)).astype(np.int8)
    source, target = activation("x", x.shape, shared), activation("y", (1, *size_hw, 64), shared)
    attributes = {"mode": "linear", "coordinates": "half_pixel", "size_hw": size_hw}
    others = {
        "float weights, half even": readings.resize_float(x, size_hw, False),
        "float weights, half up": readings.resize_float(x, size_hw, True),
    }
    graph = graph_of("Resize", (source,), target, attributes)
    return Case(operator=f"Resize linear, {label}", graph=graph, inputs=[x], others=others)


def quantize(random: np.random.Generator) -> Case:
    """A change of parameters, for all 256 values."""
    given, out = Parameters(scale=0.25, zero_point=-20), Parameters(scale=0.3, zero_point=-11)
    graph = graph_of("Quantize", (activation("x", ALL.shape, given),), activation("y", ALL.shape, out), {})
    other = readings.rescale_float(ALL, given, out)
    return Case(operator="Quantize of integers", graph=graph, inputs=[ALL], others={"float32 ratio": other})


def relu(random: np.random.Generator) -> Case:
    """A Relu that stands alone and changes parameters, for all 256 values: of 100 random ones, the most telling."""
    best: tuple[int, Case] | None = None
    for _ in range(100):
        given, out = random_parameters(random), random_parameters(random)
        graph = graph_of("Relu", (activation("x", ALL.shape, given),), activation("y", ALL.shape, out), {})
        others = {
            "float32 ratio": np.maximum(readings.rescale_float(ALL, given, out), out.zero_point),
            "31-bit fixed point, one rounding": np.maximum(readings.rescale_once(ALL, given, out), out.zero_point),
        }
        telling = int(np.count_nonzero(IntegerSimulation(graph).run([ALL])[0] != others["float32 ratio"]))
        if best is None or telling > best[0]:
            best = telling, Case(operator="Relu alone", graph=graph, inputs=[ALL], others=others)
    assert best is not None
    return best[1]


CASES: Mapping[str, Callable[[np.random.Generator], Case]] = {
    "conv": convolution,
    "conv ties": convolution_ties,
    "add": lambda random: binary(random, "Add"),
    "mul": lambda random: binary(random, "Mul"),
    "mean": mean,
    "average pool": average_pool,
    "resize x4": lambda random: resize(random, (32, 24), "x4"),
    "resize 13x11": lambda random: resize(random, (13, 11), "8x6 to 13x11"),
    "quantize": quantize,
    "relu": relu,
}


def outcomes(case: Case, kernels: str | None = None) -> list[Outcome]:
    """Every reading of a case against LiteRT, the simulation first."""
    output, info = litert_outputs(case.graph, case.inputs, kernels)
    simulated = IntegerSimulation(case.graph).run(case.inputs)[0]
    read = {SIMULATION: simulated, **case.others}
    return [
        Outcome(
            operator=case.operator,
            kernels=info.kernels,
            reading=name,
            difference=integer_difference(values.reshape(output[0].shape), output[0]),
        )
        for name, values in read.items()
    ]


def cpu_features() -> str:
    """The instruction sets of this CPU that the kernels choose by."""
    known = ("avx512_vnni", "avx512bw", "avx_vnni", "avx2", "sse4_1", "asimddp", "i8mm", "asimd")
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").split())
    except OSError:
        return platform.machine()
    return ", ".join([platform.machine(), *(feature for feature in known if feature in flags)])


def report(cases: Mapping[str, Callable[[np.random.Generator], Case]]) -> int:
    """Print the table of some cases; 1 if the simulation differs anywhere, else 0."""
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    table = Table(title=f"values that differ from LiteRT ({cpu_features()})", title_justify="left")
    for column in ("operator", "kernels", "reading", "differing", "of", "largest"):
        table.add_column(column, no_wrap=True)
    wrong = 0
    for make in cases.values():
        for outcome in outcomes(make(random)):
            found = outcome.difference
            wrong += found.differing if outcome.reading == SIMULATION else 0
            table.add_row(
                outcome.operator,
                outcome.kernels,
                outcome.reading,
                str(found.differing),
                str(found.values),
                str(found.largest),
            )
    Console(width=max(110, Console().width)).print(table)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(report(CASES))
