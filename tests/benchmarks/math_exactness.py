"""Functions, sums and norms: which reading of each formula LiteRT computes, and what its other kernels do.

`python -m tests.benchmarks.math_exactness` prints, per reading, how many values differ from LiteRT's default
kernels on inputs that tell the readings apart, and per operator how many differ in each kernel set on random ones.
"""

import math
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from edge.errors import EdgeError
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph, Tensor, per_tensor
from edge.graph.ops.integer_form import integer_fault
from tests.benchmarks.exactness import ALL, Case, random_parameters, report
from tests.benchmarks.readings import clamped, half_away, rescale_float
from tests.support.one_operator import Parameters, activation, graph_of, litert_outputs, random_input

Array = npt.NDArray[Any]
F32 = np.float32
Q = np.arange(-128, 128).reshape(ALL.shape)
DRAWS = 40


def _reals(given: Parameters) -> npt.NDArray[np.float32]:
    return np.asarray(F32(given.scale) * (Q - given.zero_point).astype(F32), F32)


def _of_all(kind: str, given: Parameters, out: Parameters, attributes: Mapping[str, Any]) -> Graph:
    """An operator over all 256 values."""
    return graph_of(kind, (activation("x", ALL.shape, given),), activation("y", ALL.shape, out), attributes)


def absolute(random: np.random.Generator) -> Case:
    """Abs: of 100 random parameters, those that tell a float32 ratio and a single rounding apart."""
    best: Case | None = None
    telling = -1
    for _ in range(100):
        given, out = random_parameters(random), random_parameters(random)
        graph = _of_all("Abs", given, out, {})
        exact = IntegerSimulation(graph).run([ALL])[0]
        size = np.abs(Q - given.zero_point)
        mantissa, exponent = math.frexp(float(F32(given.scale) / F32(out.scale)))
        factor, shift = math.floor(mantissa * 2**31 + 0.5), 31 - exponent
        others = {
            "float32 ratio": clamped(np.rint(size * (F32(given.scale) / F32(out.scale))) + out.zero_point),
            "31-bit fixed point, one rounding": clamped(
                ((size * factor + (1 << (shift - 1))) >> shift) + out.zero_point
            ),
        }
        found = min(int(np.count_nonzero(other != exact)) for other in others.values())
        if found > telling:
            telling, best = found, Case(operator="Abs", graph=graph, inputs=[ALL], others=others)
    assert best is not None
    return best


def leaky_relu(random: np.random.Generator) -> Case:
    """An 8-bit multiplier on either side of 0."""
    given, out, alpha = Parameters(scale=0.037, zero_point=-20), Parameters(scale=0.051, zero_point=11), F32(0.3)
    slope = np.where(given.zero_point <= Q, F32(1), alpha)
    ratio = F32(given.scale) / F32(out.scale)
    other = clamped(np.rint((Q - given.zero_point) * slope * ratio) + out.zero_point)
    graph = _of_all("LeakyRelu", given, out, {"alpha": float(alpha)})
    return Case(operator="LeakyRelu", graph=graph, inputs=[ALL], others={"float32 ratio": other})


def square_root(random: np.random.Generator) -> Case:
    """Sqrt: the real root over the output's scale is cut off, not rounded."""
    given, out = Parameters(scale=0.02, zero_point=-128), Parameters(scale=0.01, zero_point=-128)
    root = np.sqrt(_reals(given)) / F32(out.scale)
    other = clamped(np.rint(root) + out.zero_point)
    return Case(operator="Sqrt", graph=_of_all("Sqrt", given, out, {}), inputs=[ALL], others={"rounded": other})


def inverse_square_root(random: np.random.Generator) -> Case:
    """Rsqrt: the scales make 1 / sqrt(x) / s_out = 1 / sqrt(q), with ties at q = 4."""
    out = Parameters(scale=float(F32(0.3)), zero_point=0)
    given = Parameters(scale=float(F32(1) / F32(out.scale) ** 2), zero_point=-128)
    with np.errstate(divide="ignore"):
        real = F32(1) / np.sqrt(_reals(given)) * (F32(1) / F32(out.scale))
    others = {"float32 table, half to even": clamped(np.rint(np.minimum(real, 127)) + out.zero_point)}
    return Case(operator="Rsqrt", graph=_of_all("Rsqrt", given, out, {}), inputs=[ALL], others=others)


def exponential(random: np.random.Generator) -> Case:
    """Exp at 0, where exp(x) / s_out is 1/2, 3/2, 5/2: a tie, in the built-in kernels' table."""
    given, out = Parameters(scale=math.log(2), zero_point=0), Parameters(scale=2.0, zero_point=-3)
    real = np.exp(_reals(given).astype(np.float64)).astype(F32) * F32(0.5)
    others = {"half to even": clamped(np.rint(np.minimum(real, 1000)) + out.zero_point)}
    return Case(operator="Exp", graph=_of_all("Exp", given, out, {}), inputs=[ALL], others=others)


def elu(random: np.random.Generator) -> Case:
    """Elu above 0 is a change of parameters: half of them ties."""
    given, out = Parameters(scale=0.25, zero_point=-3), Parameters(scale=0.5, zero_point=2)
    real = _reals(given)
    curved = np.where(real < 0, np.expm1(real.astype(np.float64)), real).astype(F32) * F32(2)
    others = {"half away, before the zero point": clamped(half_away(curved) + out.zero_point)}
    graph = _of_all("Elu", given, out, {"alpha": 1.0})
    return Case(operator="Elu", graph=graph, inputs=[ALL], others=others)


def p_relu(random: np.random.Generator) -> Case:
    """PRelu below 0: the product of two integers by a 31-bit multiplier that rounds twice."""
    given = out = Parameters(scale=0.5, zero_point=60)
    slope = per_tensor(F32(1 / 64), 7)  # the slope is 32 / 64: every second product is a tie
    constant = Tensor(name="slope", shape=(1,), dtype="int8", data=np.array([39], np.int8), quantization=slope)
    source, target = activation("x", ALL.shape, given), activation("y", ALL.shape, out)
    graph = graph_of("PRelu", (source,), target, {}, (constant,))
    real = rescale_float(ALL, given, out)
    below = (Q - given.zero_point) * 32 / 64
    other = np.where(given.zero_point <= Q, real, clamped(np.rint(below) + out.zero_point))
    return Case(operator="PRelu", graph=graph, inputs=[ALL], others={"half to even": other})


def total(random: np.random.Generator) -> Case:
    """ReduceSum with a scale that makes every second sum a tie."""
    given, out = Parameters(scale=0.1, zero_point=5), Parameters(scale=float(F32(0.1) * F32(6)), zero_point=-9)
    x = random.integers(-128, 128, (1, 3, 5, 4096)).astype(np.int8)
    source, target = activation("x", x.shape, given), activation("y", (1, 1, 1, 4096), out)
    graph = graph_of("ReduceSum", (source,), target, {"axes": (1, 2), "keepdims": True})
    raw = x.sum(axis=(1, 2), keepdims=True, dtype=np.int64) - 15 * given.zero_point
    other = clamped(np.rint(raw.astype(F32) * (F32(given.scale) / F32(out.scale))) + out.zero_point)
    return Case(operator="ReduceSum", graph=graph, inputs=[x], others={"zero points outside the rounding": other})


def l2_norm(random: np.random.Generator) -> Case:
    """L2Norm of vectors of 8 odd integers whose norm is 256: every quotient times 128 is a tie."""
    given = Parameters(scale=0.1, zero_point=3)
    pairs = {a * a + b * b: (a, b) for a in range(1, 123, 2) for b in range(1, 123, 2)}
    vectors: list[list[int]] = []
    while len(vectors) < 512:
        six = (2 * random.integers(30, 61, 6) + 1).tolist()
        rest = pairs.get(256**2 - sum(value * value for value in six))
        if rest is not None:
            vectors.append([*six, *rest])
    signs = random.choice([-1, 1], (512, 8))
    x = (np.array(vectors) * signs + given.zero_point).astype(np.int8).reshape(1, 16, 32, 8)
    source = activation("x", x.shape, given)
    target = activation("y", x.shape, Parameters(scale=1 / 128, zero_point=0))
    graph = graph_of("L2Norm", (source,), target, {"axis": 3, "epsilon": 1e-12})
    centred = x.astype(np.float64) - given.zero_point
    norm = np.sqrt(np.maximum(np.square(centred).sum(axis=3, keepdims=True), 1e-12))
    others = {"float, half to even": clamped(np.rint(centred / norm * 128))}
    return Case(operator="L2Norm", graph=graph, inputs=[x], others=others)


CASES: Mapping[str, Callable[[np.random.Generator], Case]] = {
    "abs": absolute,
    "leaky relu": leaky_relu,
    "sqrt": square_root,
    "rsqrt": inverse_square_root,
    "exp": exponential,
    "elu": elu,
    "p relu": p_relu,
    "reduce sum": total,
    "l2 norm": l2_norm,
}

# kind -> attributes, shape of the output ('' like the input), fixed output parameters
RANDOM: Mapping[str, tuple[dict[str, Any], tuple[int, ...], Parameters | None]] = {
    "Abs": ({}, (), None),
    "Exp": ({}, (), None),
    "Log": ({}, (), None),
    "Gelu": ({"approximate": False}, (), None),
    "Elu": ({"alpha": 1.0}, (), None),
    "LeakyRelu": ({"alpha": float(F32(0.1))}, (), None),
    "Sqrt": ({}, (), None),
    "Rsqrt": ({}, (), None),
    "ReduceSum": ({"axes": (1, 2), "keepdims": True}, (1, 1, 1, 16), None),
    "ReduceMax": ({"axes": (1, 2), "keepdims": True}, (1, 1, 1, 16), None),
    "L2Norm": ({"axis": 3, "epsilon": 1e-12}, (), Parameters(scale=1 / 128, zero_point=0)),
    "LogSoftmax": ({"axis": 3}, (), Parameters(scale=1 / 16, zero_point=127)),
    "Max": ({}, (), None),
}


def random_graph(kind: str, random: np.random.Generator) -> Graph:
    """A one-operator graph over (1, 8, 8, 16) with random parameters that have an integer form."""
    attributes, shape, fixed = RANDOM[kind]
    while True:
        given, out = random_parameters(random), fixed or random_parameters(random)
        if kind in ("Sqrt", "Rsqrt"):
            given = Parameters(scale=given.scale, zero_point=-128)
        if kind in ("ReduceMax", "Max"):
            out = given
        inputs = tuple(activation(name, (1, 8, 8, 16), given) for name in ("x", "w")[: 1 + (kind == "Max")])
        graph = graph_of(kind, inputs, activation("y", shape or (1, 8, 8, 16), out), attributes)
        if not integer_fault(graph.operators[0], graph.tensors):
            return graph


def kernel_sets(makers: Mapping[str, Callable[[np.random.Generator], Graph]]) -> Table:
    """Per operator and kernel set: values that differ from the simulation, of DRAWS random graphs."""
    table = Table(title=f"values that differ from the simulation, {DRAWS} random parameters", title_justify="left")
    for column in ("operator", "default", "differing", "built-in", "largest", "reference", "largest", "of"):
        table.add_column(column, no_wrap=True)
    for kind, make in makers.items():
        random = np.random.default_rng(0)
        graphs = [make(random) for _ in range(DRAWS)]
        inputs = [[random_input(random, graph.tensors[name]) for name in graph.inputs] for graph in graphs]
        exact = [IntegerSimulation(graph).run(values)[0] for graph, values in zip(graphs, inputs, strict=True)]
        cells, name = [], ""
        for kernels in (None, "builtin", "reference"):
            try:
                outputs = [litert_outputs(graph, values, kernels) for graph, values in zip(graphs, inputs, strict=True)]
            except EdgeError:
                cells += ["no kernel", "-"]
                continue
            name = name or outputs[0][1].kernels
            off = [np.abs(output[0][0].astype(int) - x) for output, x in zip(outputs, exact, strict=True)]
            cells += [str(sum(int(np.count_nonzero(one)) for one in off)), str(max(int(one.max()) for one in off))]
        table.add_row(kind, name, cells[0], *cells[2:], str(sum(one.size for one in exact)))
    return table


def main() -> int:
    """Print both tables; exit code 1 if the simulation differs anywhere."""
    code = report(CASES)
    Console(width=max(110, Console().width)).print(kernel_sets({kind: partial(random_graph, kind) for kind in RANDOM}))
    return code


if __name__ == "__main__":
    sys.exit(main())
