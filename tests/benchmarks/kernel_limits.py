"""The table of kernel limits against LiteRT: `python -m tests.benchmarks.kernel_limits`.

Per limit and kind: how many values of the integer simulation differ from LiteRT's default kernels just inside either
bound and at random places between, and what LiteRT does just outside, where writer and simulation refuse.
"""

import multiprocessing
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table

from converters.tflite.file_builder import FileBuilder
from converters.tflite.writer import WRITERS
from edge.artifact.scheme import FIXED, INT16_FIXED
from edge.engines.litert import open_litert
from edge.errors import EdgeError
from edge.execution.kernels.int8_table import BUILDERS
from edge.execution.kernels.int16_table import INT16_BUILDERS
from edge.execution.walk import constant_tensors
from edge.graph.graph import Graph, Tensor, per_tensor
from edge.graph.ops.kernel_limits import (
    BALANCE,
    INPUT,
    INVERSE_ROOT,
    LIMITS,
    MULTIPLIER,
    PRODUCT,
    ROOT,
    SLOPE,
    Limit,
)
from tests.support.one_operator import (
    Parameters,
    activation,
    conv_graph,
    graph_of,
    random_input,
    weight_and_bias,
)

F32 = np.float32
SHAPE = (1, 4, 8, 16)
JUST = 1.001
DRAWS = 8
SECONDS = 60
PLAIN: Mapping[str, Any] = MappingProxyType({"activation": "none"})
LAST_AXIS: Mapping[str, Any] = MappingProxyType({"axis": 3})
REDUCED: Mapping[str, Any] = MappingProxyType({"axes": (1, 2), "keepdims": True})
ATTRIBUTES: Mapping[str, Mapping[str, Any]] = {
    **dict.fromkeys(("Add", "Sub", "Mul"), PLAIN),
    **dict.fromkeys(("Mean", "ReduceSum"), REDUCED),
    **dict.fromkeys(("Softmax", "LogSoftmax"), LAST_AXIS),
    "Elu": {"alpha": 1.0},
    "Gelu": {"approximate": False},
    "Clip": {"min": 0.0, "max": 6.0},
}
# No kernel of LiteRT's has them.
MISSING = frozenset({(kind, "uint8") for kind in ("MatMul", "Abs", "Elu", "Exp", "Log", "Sqrt", "Rsqrt", "LogSoftmax")})


def graph_at(limit: Limit, kind: str, dtype: str, value: float, random: np.random.Generator) -> Graph:
    """A one-operator graph whose limited quantity has this value; its other scales and its zero points are random."""
    output = 2.0 ** random.uniform(-7, -1)
    other = 2.0 ** random.uniform(-7, -1)
    if limit.quantity == MULTIPLIER:
        return _layer_at(kind, dtype, other, value * output / other, output, random)
    scales: list[float] = [value * output]
    attributes = dict(ATTRIBUTES.get(kind, {}))
    if limit.quantity == PRODUCT:
        scales = [other, value * output / other]
    elif limit.quantity == INPUT:
        scales, output = [value], value * 2.0 ** random.uniform(-1, 1)
    elif limit.quantity == BALANCE:
        large = output * 2.0 ** random.uniform(-4, 4)
        scales = [value * large, large]
    elif limit.quantity in (ROOT, INVERSE_ROOT):
        root = other**0.5 if limit.quantity == ROOT else other**-0.5
        scales, output = [other], root / value
    elif kind in ("Add", "Sub"):
        scales.append(value * output * 2.0 ** (random.uniform(0.1, 4) * (-1 if value > 1 else 1)))
    elif kind == "Gelu":
        scales, output = [other], other / value
    if kind == "LeakyRelu":
        slope = value if limit.quantity == SLOPE else float(F32(0.4 if value > 1 else 2.0))
        attributes["alpha"] = slope
        scales = [output if limit.quantity == SLOPE else scales[0]]
    shapes: list[tuple[int, ...]]
    made: tuple[int, ...]
    if kind == "MatMul":
        shapes, made = [(1, 8, 16), (1, 16, 8)], (1, 8, 8)
    else:
        shapes, made = [SHAPE] * len(scales), ((1, 1, 1, 16) if kind in ("Mean", "ReduceSum") else SHAPE)
    smallest = {"int8": -128, "uint8": 0, "int16": 0}[dtype]
    zero_points = [_zero_point(dtype, random) for _ in scales]
    if kind in ("Sqrt", "Rsqrt"):
        zero_points = [smallest]
    parameters = [Parameters(scale=scale, zero_point=zero) for scale, zero in zip(scales, zero_points, strict=True)]
    inputs = [
        activation(name, shape, given, dtype) for name, shape, given in zip("ab", shapes, parameters, strict=False)
    ]
    out = Parameters(scale=output, zero_point=_zero_point(dtype, random))
    fixed = (INT16_FIXED if dtype == "int16" else FIXED).get(kind)
    if fixed is not None:
        out = Parameters(scale=fixed[0], zero_point=fixed[1] + (128 if dtype == "uint8" else 0))
    constants = (_slope(dtype),) if kind == "PRelu" else ()
    return graph_of(kind, inputs, activation("y", made, out, dtype), attributes, constants)


def _zero_point(dtype: str, random: np.random.Generator) -> int:
    low = {"int8": -128, "uint8": 0}.get(dtype)
    return 0 if low is None else int(random.integers(low, low + 256))


def _slope(dtype: str) -> Tensor:
    quantization = per_tensor(F32(0.004), 120 if dtype == "uint8" else 7)
    return Tensor(name="slope", shape=(1,), dtype=dtype, data=np.array([100], dtype), quantization=quantization)


def _layer_at(kind: str, dtype: str, given: float, weight: float, output: float, random: np.random.Generator) -> Graph:
    """A layer over 4 channels whose sums fill the output's range where its multiplier lets them."""
    factor = given * weight / output
    source = Parameters(scale=given, zero_point=_zero_point(dtype, random))
    target = Parameters(scale=output, zero_point=_zero_point(dtype, random))
    scales = np.full(4, weight, F32)
    bias = random.integers(-1, 2, 4) * int(min(2.0**28, 100 / factor))
    integers: npt.NDArray[Any] = random.integers(-127, 128, (4, 4)) if factor < 0.01 else random.integers(-1, 2, (4, 4))
    shape, made = ((1, 8, 8, 4), (1, 16, 16, 4)) if kind == "ConvTranspose" else ((1, 8, 8, 4), (1, 8, 8, 4))
    x, y = activation("x", shape, source, dtype), activation("y", made, target, dtype)
    if kind == "Conv":
        graph = conv_graph(x, y, integers[:, :, None, None], scales, bias)
    else:
        attributes: dict[str, Any] = {"activation": "none"}
        if kind == "ConvTranspose":
            integers = np.broadcast_to(integers[:, :, None, None], (4, 4, 2, 2))
            attributes.update(strides=(2, 2), pads=(0, 0, 0, 0), dilations=(1, 1), group=1)
        graph = graph_of(kind, (x,), y, attributes, weight_and_bias(integers, scales, bias, F32(given)))
    if dtype != "uint8":
        return graph
    weights = graph.tensors["weight"]
    moved = (graph.constant("weight").astype(np.int16) + 128).astype(np.uint8)
    tensors = {
        **graph.tensors,
        "weight": replace(weights, dtype="uint8", data=moved, quantization=per_tensor(scales[0], 128)),
        "bias": replace(graph.tensors["bias"], quantization=per_tensor(F32(given) * scales[0], 0)),
    }
    return replace(graph, tensors=tensors)


def unlimited(graph: Graph, seed: int) -> str:
    """Formula and LiteRT on random inputs without asking the table: `0 of 512`, or what LiteRT says."""
    random = np.random.default_rng(seed)
    inputs = [random_input(random, graph.tensors[name]) for name in graph.inputs]
    operator = graph.operators[0]
    builder = FileBuilder(graph)
    WRITERS[operator.kind](builder, operator)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.tflite"
            path.write_bytes(builder.finish(""))
            answer = open_litert(path).run(inputs)[0]
    except EdgeError:
        return "refused"
    wide = any(tensor.dtype == "int16" for tensor in graph.tensors.values())
    constants = constant_tensors(graph)
    try:
        kernel = (INT16_BUILDERS if wide else BUILDERS)[operator.kind](graph, operator)
        given = [*(torch.from_numpy(values) for values in inputs), *constants.values()]
        exact = kernel(given).numpy()
    except (OverflowError, ValueError):
        return "no formula"
    return f"{int(np.count_nonzero(exact != answer))} of {exact.size}"


def _report(graph: Graph, seed: int, replies: Any) -> None:
    torch.set_num_threads(1)
    with np.errstate(all="ignore"):
        replies.put(unlimited(graph, seed))


def observed(graph: Graph, seed: int) -> str:
    """`unlimited` in a process of its own, as LiteRT may end it."""
    context = multiprocessing.get_context("fork")
    replies = context.SimpleQueue()
    process = context.Process(target=_report, args=(graph, seed, replies))
    process.start()
    process.join(SECONDS)
    if process.exitcode != 0:
        process.kill()
        return "ends the process"
    return str(replies.get())


def main() -> int:
    """Print the table; exit code 1 if a value inside the limits differs."""
    torch.set_num_threads(1)
    table = Table(title="the simulation against LiteRT at the table's limits", title_justify="left")
    for column in ("kind", "type", "quantity", "low", "high", "at low", "between", "at high", "below", "above"):
        table.add_column(column)
    wrong = 0
    for limit in LIMITS:
        for kind in limit.kinds:
            for dtype in limit.dtypes:
                if (kind, dtype) in MISSING:
                    continue
                random = np.random.default_rng(0)
                high = limit.high if np.isfinite(limit.high) else 1.0
                between = 2.0 ** random.uniform(np.log2(limit.low), np.log2(high), DRAWS)
                inside = ([limit.low * JUST], between, [high / JUST])
                cells: list[str] = []
                for values in (*inside, [limit.low / 2], [high * JUST]):
                    found = {observed(graph_at(limit, kind, dtype, value, random), n) for n, value in enumerate(values)}
                    odd = sorted(answer for answer in found if not answer.startswith("0 of"))
                    wrong += bool(odd) and len(cells) < len(inside)
                    cells.append(", ".join(odd) or "0 differ")
                table.add_row(kind, dtype, limit.quantity, f"{limit.low:.3g}", f"{limit.high:.3g}", *cells)
    Console(width=max(200, Console().width)).print(table)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
