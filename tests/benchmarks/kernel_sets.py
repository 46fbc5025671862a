"""Every quantized operator alone in every kernel set at hand: `python -m tests.benchmarks.kernel_sets`.

One-operator files with random parameters and inputs run in all kernel sets of every TFLite runtime here and in the
interpreters that `--python` names. Printed per operator: the share of values that differ from the integer simulation,
and the largest difference in quanta. docs/fidelity.md holds the table.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table

from converters.tflite.writer import tflite_bytes
from edge.engines.engine import Session, installed_engines, open_session
from edge.engines.other_python import OtherPython
from edge.errors import EngineError
from edge.evaluation.fidelity import Difference, integer_difference
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from tests.benchmarks import math_exactness, shape_exactness
from tests.benchmarks.exactness import random_parameters
from tests.support.one_operator import Parameters, activation, conv_graph, graph_of, random_input

Random = np.random.Generator
F32 = np.float32
BOX = (1, 8, 8, 16)
ENGINES = ("litert", "tflite-runtime")
KERNELS = (None, "builtin", "reference")
FIXED = {
    "Sigmoid": Parameters(scale=1 / 256, zero_point=-128),
    "Tanh": Parameters(scale=1 / 128, zero_point=0),
    "Softmax": Parameters(scale=1 / 256, zero_point=-128),
}


def convolution(random: Random, *, group: int, size: int) -> Graph:
    """A convolution of 16 channels with `size` x `size` weights per channel, no padding."""
    weight = random.integers(-127, 128, (16, 16 // group, size, size))
    scale = (2.0 ** random.uniform(-2, 2, 16) / np.sqrt(size * size * 16 / group) / 5000).astype(F32)
    source = activation("x", BOX, Parameters(scale=1.0, zero_point=int(random.integers(-128, 128))))
    side = 8 - size + 1
    target = activation("y", (1, side, side, 16), Parameters(scale=0.02, zero_point=int(random.integers(-128, 128))))
    return conv_graph(source, target, weight, scale, random.integers(-30000, 30000, 16), group=group)


def of_one(random: Random, kind: str, shape: Sequence[int] = BOX, *, tied: bool = False, **attributes: Any) -> Graph:
    """An operator of one input; `tied`: the output has the input's parameters."""
    given = random_parameters(random)
    out = given if tied else FIXED.get(kind, random_parameters(random))
    return graph_of(kind, (activation("x", BOX, given),), activation("y", shape, out), attributes)


def of_two(random: Random, kind: str) -> Graph:
    """An operator of two inputs with parameters of their own."""
    inputs = tuple(activation(name, BOX, random_parameters(random)) for name in "ab")
    return graph_of(kind, inputs, activation("y", BOX, random_parameters(random)), {"activation": "none"})


POOL = {"kernel": (3, 3), "strides": (2, 2), "pads": (0, 0, 0, 0), "activation": "none"}
RESIZED = {"coordinates": "half_pixel", "size_hw": (19, 13)}
MAKERS: Mapping[str, Callable[[Random], Graph]] = {
    "Conv 3x3": lambda random: convolution(random, group=1, size=3),
    "Conv 1x1": lambda random: convolution(random, group=1, size=1),
    "Conv depthwise": lambda random: convolution(random, group=16, size=3),
    "Add": lambda random: of_two(random, "Add"),
    "Sub": lambda random: of_two(random, "Sub"),
    "Mul": lambda random: of_two(random, "Mul"),
    "Mean": lambda random: of_one(random, "Mean", (1, 1, 1, 16), axes=(1, 2), keepdims=True),
    "AveragePool": lambda random: of_one(
        random, "AveragePool", (1, 3, 3, 16), tied=True, count_include_pad=False, **POOL
    ),
    "MaxPool": lambda random: of_one(random, "MaxPool", (1, 3, 3, 16), tied=True, **POOL),
    "Resize linear": lambda random: of_one(random, "Resize", (1, 19, 13, 16), tied=True, mode="linear", **RESIZED),
    "Resize nearest": lambda random: of_one(random, "Resize", (1, 19, 13, 16), tied=True, mode="nearest", **RESIZED),
    **{kind: partial(of_one, kind=kind) for kind in ("Relu", "Relu6", "HardSwish", "Sigmoid", "Tanh", "Quantize")},
    "Softmax": lambda random: of_one(random, "Softmax", axis=3),
    "Pad": lambda random: of_one(
        random, "Pad", (1, 10, 11, 16), tied=True, pads=((0, 0), (1, 1), (1, 2), (0, 0)), value=0.0
    ),
    "Transpose": lambda random: of_one(random, "Transpose", (1, 16, 8, 8), tied=True, perm=(0, 3, 1, 2)),
    **{kind: partial(math_exactness.random_graph, kind) for kind in math_exactness.RANDOM},
    **shape_exactness.RANDOM,
}


@dataclass(frozen=True, kw_only=True)
class KernelSet:
    """A runtime's kernels in one place."""

    name: str
    open: Callable[[Path], Session]


@dataclass(kw_only=True)
class Row:
    """What one operator showed in one kernel set; `ran` names the kernels that really ran."""

    operator: str
    kernel_set: str
    ran: tuple[str, ...]
    difference: Difference

    @property
    def cell(self) -> str:
        """`0`, `2.6 % by 1`, or why there is no answer."""
        found = self.difference
        if not self.ran:
            return "no kernel"
        return f"{100 * found.share:.3g} % by {found.largest}" if found.differing else "0"


def kernel_sets(pythons: Sequence[str], stack: ExitStack) -> list[KernelSet]:
    """All kernel sets of the TFLite runtimes here and in other interpreters, which `stack` ends."""
    places: list[tuple[str, Sequence[str], Callable[..., Session]]] = [("here", installed_engines(), open_session)]
    for python in pythons:
        other = stack.enter_context(OtherPython(python))
        places.append((other.info.machine, other.info.engines, other.open_session))
    return [
        KernelSet(
            name=f"{engine} {kernels or 'default'} {place}",
            open=partial(_open, opener, engine, kernels),
        )
        for place, engines, opener in places
        for engine in engines
        if engine in ENGINES
        for kernels in KERNELS
    ]


def _open(opener: Callable[..., Session], engine: str, kernels: str | None, path: Path) -> Session:
    return opener(engine, path, threads=1, kernels=kernels)


def compare(operator: str, sets: Sequence[KernelSet], draws: int) -> list[Row]:
    """One operator with random parameters in every kernel set."""
    random = np.random.default_rng(0)
    rows = [Row(operator=operator, kernel_set=one.name, ran=(), difference=Difference()) for one in sets]
    refused: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        for draw in range(draws):
            graph = MAKERS[operator](random)
            inputs = [random_input(random, graph.tensors[name]) for name in graph.inputs]
            expected = IntegerSimulation(graph).run(inputs)[0]
            path = Path(folder) / f"{draw}.tflite"
            path.write_bytes(tflite_bytes(graph))
            for one, row in zip(sets, rows, strict=True):
                if one.name in refused:
                    continue
                try:
                    session = one.open(path)
                except EngineError:  # a runtime without a kernel for the operator is a fact of the table
                    refused.add(one.name)
                    continue
                row.ran = tuple(sorted({*row.ran, session.info.kernels}))
                found: npt.NDArray[Any] = session.run(inputs)[0]
                row.difference += integer_difference(expected.reshape(found.shape), found)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or JSON lines; exit code 1 if LiteRT's default kernels on x86-64 differ anywhere."""
    parser = argparse.ArgumentParser(description="every quantized operator alone in every kernel set at hand")
    parser.add_argument("--python", action="append", default=[], help="another interpreter; repeatable")
    parser.add_argument("--draws", type=int, default=10, help="random parameters per operator")
    parser.add_argument("--operator", action="append", choices=list(MAKERS), help="only this one; repeatable")
    parser.add_argument("--json", action="store_true", help="one JSON object per operator and kernel set")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    wrong = 0
    with ExitStack() as stack:
        sets = kernel_sets(options.python, stack)
        table = Table(title=f"values that differ from the simulation, {options.draws} draws", title_justify="left")
        for column in ("operator", "ran by default", *(one.name for one in sets), "of"):
            table.add_column(column, overflow="fold")
        for operator in options.operator or MAKERS:
            rows = compare(operator, sets, options.draws)
            wrong += rows[0].difference.differing
            for row in rows if options.json else ():
                found = row.difference
                counts = {"values": found.values, "differing": found.differing, "largest_quanta": found.largest}
                print(json.dumps({"operator": operator, "kernel_set": row.kernel_set, "ran": row.ran, **counts}))
            table.add_row(operator, ", ".join(rows[0].ran), *(row.cell for row in rows), str(rows[0].difference.values))
    if not options.json:
        Console(width=max(200, Console().width)).print(table)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
