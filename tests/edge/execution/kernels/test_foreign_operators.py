"""Operators that files of others have and ours have not: read, simulated, and equal to LiteRT, value by value."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engines.litert import open_litert
from edge.errors import EngineError, ModelFileError, UnsupportedError
from edge.execution.float_run import FloatRun
from edge.execution.integer import IntegerSimulation
from edge.graph.analyses.counts import count_graph
from edge.graph.graph import Tensor
from edge.graph.importers.tflite.extract import TfliteExtractor
from edge.graph.importers.tflite.file_operators import file_operators
from edge.graph.importers.tflite.reader import read_tflite
from tests.support.examples import examples
from tests.support.foreign_operator import foreign_file
from tests.support.one_operator import RANGES, Parameters, activation, random_input

Array = npt.NDArray[Any]
SEEDS = st.integers(0, 2**32 - 1)
KERNELS = (None, "builtin")
DTYPES = ("int8", "uint8", "int16")


def outputs_of(data: bytes, inputs: Sequence[Array], kernels: str | None = None) -> list[Array]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(data)
        return list(open_litert(path, kernels=kernels).run(inputs))


def assert_exact(data: bytes, random: np.random.Generator, inputs: list[Array] | None = None) -> None:
    """The simulation equals LiteRT with and without XNNPACK; every operator has a rule for its cost."""
    graph = read_tflite(data)
    arrays = inputs or [random_input(random, graph.tensors[name]) for name in graph.inputs]
    simulated = IntegerSimulation(graph).run(arrays)
    assert count_graph(graph).unruled == ()
    for kernels in KERNELS:
        for expected, found in zip(outputs_of(data, arrays, kernels), simulated, strict=True):
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)


def parameters(random: np.random.Generator, dtype: str, low: float = -8, high: float = 0) -> Parameters:
    ends = RANGES[dtype]
    zero_point = 0 if dtype == "int16" else int(random.choice([*ends, int(random.integers(ends[0], ends[1] + 1))]))
    return Parameters(scale=float(2.0 ** random.uniform(low, high)), zero_point=zero_point)


def integers(name: str, *values: int) -> Tensor:
    return Tensor(name=name, shape=(len(values),), dtype="int32", data=np.array(values, np.int32))


def scalar(name: str, value: int) -> Tensor:
    return Tensor(name=name, shape=(), dtype="int32", data=np.array(value, np.int32))


@examples(25)
@given(seed=SEEDS)
def test_uint8_inputs_of_other_scales_are_joined_exactly(seed: int) -> None:
    """All 256 values of each input; scales up to 2**20 apart; one input as the output has it."""
    random = np.random.default_rng(seed)
    spread = float(random.choice([4, 10]))
    output = parameters(random, "uint8", -spread, spread)
    sources = [parameters(random, "uint8", -spread, spread) for _ in range(2)]
    tensors = [activation(f"x{i}", (1, 16, 16, 1), given) for i, given in enumerate((*sources, output))]
    tensors = [Tensor(name=t.name, shape=t.shape, dtype="uint8", quantization=t.quantization) for t in tensors]
    target = activation("y", (1, 16, 16, 3), output, "uint8")
    data = foreign_file("CONCATENATION", tensors, [target], options="ConcatenationOptions", axis=3)
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    assert_exact(data, random, [every] * 3)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_what_no_kernel_joins_by_its_meaning_is_refused(dtype: str) -> None:
    """LiteRT refuses the int8 file, and copies int16 integers as if they meant the same."""
    random = np.random.default_rng(0)
    a, b = (activation(name, (1, 4), Parameters(scale=s, zero_point=0), dtype) for name, s in (("a", 0.1), ("b", 0.2)))
    target = activation("y", (1, 8), Parameters(scale=0.1, zero_point=0), dtype)
    data = foreign_file("CONCATENATION", [a, b], [target], version=3, options="ConcatenationOptions", axis=1)
    with pytest.raises(UnsupportedError, match="must have the same scale"):
        IntegerSimulation(read_tflite(data))
    inputs = [random_input(random, tensor) for tensor in (a, b)]
    if dtype == "int8":
        with pytest.raises(EngineError, match="refused by the runtime"):
            outputs_of(data, inputs)
    else:
        np.testing.assert_array_equal(outputs_of(data, inputs)[0], np.concatenate(inputs, axis=1))


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@examples(8)
@given(seed=SEEDS)
def test_scores_and_boxes_are_joined_behind_a_logistic(dtype: str, seed: int) -> None:
    """LOGISTIC has a scale of its own; uint8 files change its values where they join others, int8 ones cannot."""
    random = np.random.default_rng(seed)
    fixed = Parameters(scale=1 / 256, zero_point=-128 if dtype == "int8" else 0)
    logits = activation("logits", (1, 32, 8), parameters(random, dtype, -6, -2), dtype)
    scores = activation("scores", (1, 32, 8), fixed, dtype)
    output = fixed if dtype == "int8" else parameters(random, dtype)
    version = 2 if dtype == "int8" else 1
    sigmoid = foreign_file("LOGISTIC", [logits], [scores], version=version)
    inputs = [random_input(random, logits)]
    assert_exact(sigmoid, random, inputs)
    boxes, target = activation("boxes", (1, 32, 4), fixed, dtype), activation("y", (1, 32, 12), output, dtype)
    joined = foreign_file(
        "CONCATENATION", [boxes, scores], [target], version=version, options="ConcatenationOptions", axis=2
    )
    assert_exact(joined, random, [random_input(random, boxes), outputs_of(sigmoid, inputs)[0]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "axis", "count"), [((1, 4, 6, 8), 3, 2), ((1, 6, 5), -2, 3), ((4, 3), 0, 4)])
def test_split_in_equal_parts_is_exact(dtype: str, shape: tuple[int, ...], axis: int, count: int) -> None:
    random = np.random.default_rng(count)
    given_parameters = parameters(random, dtype)
    part = list(shape)
    part[axis] //= count
    outputs = [activation(f"y{place}", part, given_parameters, dtype) for place in range(count)]
    source = activation("x", shape, given_parameters, dtype)
    version = 1 if dtype == "uint8" else 2
    inputs = [scalar("axis", axis), source]
    assert_exact(
        foreign_file("SPLIT", inputs, outputs, version=version, options="SplitOptions", numSplits=count), random
    )


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("sizes", [(1, 4, 3), (5, -1)])
def test_split_in_stated_parts_is_exact(dtype: str, sizes: tuple[int, ...]) -> None:
    random = np.random.default_rng(len(sizes))
    given_parameters = parameters(random, dtype)
    widths = [size if size > 0 else 8 - sum(other for other in sizes if other > 0) for size in sizes]
    outputs = [activation(f"y{place}", (1, 3, width), given_parameters, dtype) for place, width in enumerate(widths)]
    inputs = [activation("x", (1, 3, 8), given_parameters, dtype), integers("sizes", *sizes), scalar("axis", -1)]
    assert_exact(
        foreign_file("SPLIT_V", inputs, outputs, version=2, options="SplitVOptions", numSplits=len(sizes)), random
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [1, 3, -1])
def test_pack_is_exact_and_unpack_takes_it_apart(dtype: str, axis: int) -> None:
    random = np.random.default_rng(axis + 5)
    given_parameters = parameters(random, dtype)
    parts = [activation(f"p{place}", (1, 5, 6), given_parameters, dtype) for place in range(3)]
    whole = np.stack([np.zeros((1, 5, 6))] * 3, axis=axis).shape
    stacked = activation("stacked", whole, given_parameters, dtype)
    version = 1 if dtype == "uint8" else 2
    assert_exact(
        foreign_file("PACK", parts, [stacked], version=version, options="PackOptions", valuesCount=3, axis=axis), random
    )
    assert_exact(
        foreign_file("UNPACK", [stacked], parts, version=version, options="UnpackOptions", num=3, axis=axis), random
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("begin", "end", "strides", "fields", "kept"),
    [
        ((0, 1, 2), (1, 3, 9), (1, 1, 2), {}, (1, 2, 4)),
        ((0, 0, -2), (1, 4, -1), (1, 1, 1), {"shrinkAxisMask": 4}, (1, 4)),
        ((0, 2, 0), (0, 0, 0), (1, 1, 1), {"shrinkAxisMask": 2, "beginMask": 5, "endMask": 5}, (1, 9)),
        ((0, 3, 8), (1, -9, 0), (1, -1, -3), {}, (1, 4, 3)),
    ],
)
def test_strided_slice_is_exact_and_drops_axes(
    dtype: str, begin: tuple[int, ...], end: tuple[int, ...], strides: tuple[int, ...], fields: Any, kept: Any
) -> None:
    random = np.random.default_rng(3)
    given_parameters = parameters(random, dtype)
    source, target = activation("x", (1, 4, 9), given_parameters, dtype), activation("y", kept, given_parameters, dtype)
    constants = [integers("begin", *begin), integers("end", *end), integers("strides", *strides)]
    data = foreign_file(
        "STRIDED_SLICE", [source, *constants], [target], version=2, options="StridedSliceOptions", **fields
    )
    assert_exact(data, random)


def test_a_part_with_other_parameters_is_refused() -> None:
    """LiteRT would move the integers as they are."""
    source = activation("x", (1, 4), Parameters(scale=0.1, zero_point=0))
    outputs = [activation(f"y{place}", (1, 2), Parameters(scale=0.2, zero_point=0)) for place in range(2)]
    data = foreign_file("SPLIT", [scalar("axis", 1), source], outputs, version=2, options="SplitOptions", numSplits=2)
    with pytest.raises(UnsupportedError, match="must have the same scale"):
        IntegerSimulation(read_tflite(data))


@pytest.mark.parametrize("code", ["SPLIT", "PACK", "UNPACK"])
def test_sizes_that_cannot_be_are_refused(code: str) -> None:
    x, y = (Tensor(name=name, shape=(1, 3), dtype="float32") for name in "xy")
    options = {"SPLIT": {"numSplits": 1}, "PACK": {"axis": 0, "valuesCount": 1}, "UNPACK": {"axis": 1, "num": 1}}[code]
    inputs = [scalar("axis", 1), Tensor(name="x", shape=(1, 4), dtype="float32")] if code == "SPLIT" else [x]
    data = foreign_file(code, inputs, [y], options=f"{code.capitalize()}Options", **options)
    with pytest.raises(ModelFileError, match=code):
        read_tflite(data)


def test_a_split_of_floats_runs_and_is_one_operator_of_its_file() -> None:
    source = Tensor(name="x", shape=(1, 6), dtype="float32")
    outputs = [Tensor(name=f"y{place}", shape=(1, 2), dtype="float32") for place in range(3)]
    data = foreign_file("SPLIT", [scalar("axis", 1), source], outputs, options="SplitOptions", numSplits=3)
    graph = read_tflite(data)
    values = np.arange(6, dtype=np.float32).reshape(1, 6)
    for expected, found in zip(outputs_of(data, [values]), FloatRun(graph).run([values]), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert [operator.kind for operator in graph.operators] == ["Slice"] * 3
    (whole,) = file_operators(graph)
    assert (whole.inputs, whole.outputs, whole.source) == (("x",), ("y0", "y1", "y2"), "SPLIT")
    alone = TfliteExtractor(data).extract(0)
    for expected, found in zip(outputs_of(data, [values]), outputs_of(alone, [values]), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_what_a_layer_flattens_is_no_operator_of_its_file() -> None:
    """The operators of a graph and those of its file are matched in order, whatever reading put between."""
    weight = np.ones((2, 8), np.float32)
    inputs = [
        Tensor(name="x", shape=(1, 2, 2, 2), dtype="float32"),
        Tensor(name="w", shape=(2, 8), dtype="float32", data=weight),
    ]
    data = foreign_file(
        "FULLY_CONNECTED",
        inputs,
        [Tensor(name="y", shape=(1, 2), dtype="float32")],
        options="FullyConnectedOptions",
    )
    graph = read_tflite(data)
    assert [operator.kind for operator in graph.operators] == ["Reshape", "Gemm"]
    (layer,) = file_operators(graph)
    assert (layer.kind, layer.inputs, layer.outputs) == ("Gemm", ("x", "w", ""), ("y",))
