"""Every operator over int16 activations gives LiteRT's answer, value by value, for random parameters and inputs."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from converters.tflite.writer import tflite_bytes
from edge.errors import UnsupportedError
from edge.execution.integer import IntegerSimulation
from edge.execution.kernels.fixed_point import mantissa
from edge.execution.kernels.int16_table import INT16_BUILDERS
from edge.graph.graph import Graph, Tensor
from edge.graph.importers.tflite.reader import read_tflite
from edge.graph.ops.integer_form import INT16_KINDS
from tests.support.examples import examples
from tests.support.one_operator import (
    Parameters,
    activation,
    conv_graph,
    graph_of,
    litert_outputs,
    random_input,
    weight_and_bias,
)

F32 = np.float32
SEEDS = st.integers(0, 2**32 - 1)
FEW = examples(5)
EVERY_VALUE = np.arange(-32768, 32768).astype(np.int16).reshape(1, -1)
UNIT = 1 / 32768

torch.set_num_threads(1)


def int16(name: str, shape: Sequence[int], scale: float) -> Tensor:
    """An int16 activation."""
    return activation(name, shape, Parameters(scale=scale, zero_point=0), "int16")


def scale_of(random: np.random.Generator, low: float = -14, high: float = -9) -> float:
    """A random scale between two powers of two."""
    return float(F32(2.0 ** random.uniform(low, high)))


def assert_exact(
    graph: Graph,
    random: np.random.Generator,
    inputs: list[np.ndarray] | None = None,
    kernel_sets: tuple[str | None, ...] = (None, "reference"),
) -> None:
    """The simulation equals LiteRT's default kernels and its reference kernels."""
    feeds = inputs or [random_input(random, graph.tensors[name]) for name in graph.inputs]
    simulated = IntegerSimulation(graph).run(feeds)
    for kernels in kernel_sets:
        for expected, found in zip(litert_outputs(graph, feeds, kernels)[0], simulated, strict=True):
            assert found.dtype == expected.dtype
            assert np.array_equal(found, expected), f"{kernels}: {np.count_nonzero(found != expected)} values differ"


@pytest.mark.parametrize("form", ["full", "depthwise", "multiplier", "grouped"])
@FEW
@given(seed=SEEDS)
def test_convolution_is_exact(form: str, seed: int) -> None:
    """Small and large biases, saturated and unsaturated outputs, per-channel weights."""
    random = np.random.default_rng(seed)
    height, width, channels = (int(value) for value in random.integers(5, 12, 3))
    channels *= 2
    kernel = int(random.choice([1, 2, 3]))
    out = {"full": 9, "depthwise": channels, "multiplier": 2 * channels, "grouped": 6}[form]
    group = {"full": 1, "depthwise": channels, "multiplier": channels, "grouped": 2}[form]
    scale_in = scale_of(random)
    weight = random.integers(-127, 128, (out, channels // group, kernel, kernel))
    scales = (2.0 ** random.uniform(-2, 2, out) / np.sqrt(weight[0].size) / 300).astype(F32)
    limit = int(random.choice([3000, 2**28]))
    graph = conv_graph(
        int16("x", (1, height, width, channels), scale_in),
        int16("y", (1, height - kernel + 1, width - kernel + 1, out), scale_in * float(random.choice([0.4, 1.3, 7]))),
        weight,
        scales,
        random.integers(-limit, limit, out),
        group=group,
        activation=str(random.choice(["none", "relu", "relu6"])),
    )
    assert_exact(graph, random)


@FEW
@given(seed=SEEDS)
def test_fully_connected_is_exact_beyond_32_bits(seed: int) -> None:
    """Accumulators up to 2**33."""
    random = np.random.default_rng(seed)
    inputs, outputs = int(random.integers(1, 2000)), int(random.integers(1, 40))
    weight = random.integers(60, 128, (outputs, inputs))
    scales = (random.uniform(0.5, 1, outputs) * 1e-3).astype(F32)
    constants = weight_and_bias(weight, scales, random.integers(-(2**30), 2**30, outputs), F32(1e-3))
    source, target = int16("x", (1, inputs), 1e-3), int16("y", (1, outputs), float(F32(inputs * 1e-4)))
    graph = graph_of("Gemm", (source,), target, {"activation": "none"}, constants)
    assert_exact(graph, random, [random.integers(20000, 32768, (1, inputs)).astype(np.int16)])


@pytest.mark.unhurried
def test_fully_connected_rounds_in_double_half_away_from_zero() -> None:
    """Accumulators (the bias, over an input of zeros) for which a 31-bit multiplier answers otherwise, and ties."""
    random = np.random.default_rng(0)
    zeros = np.zeros((1, 4), np.int16)
    compared = 0
    for _ in range(60):
        scale_in, scale, scale_out = (F32(scale_of(random)) for _ in range(3))
        real = float(scale_in) * float(scale) / float(scale_out)
        multiplier, exponent = mantissa(real, 31)
        sums = np.rint((random.integers(20000, 32000, 4000) + 0.5) / real).astype(np.int64)
        sums = sums[np.abs(sums) < 2**31 - 1]
        fixed = np.array([(int(value) * multiplier + (1 << (30 - exponent))) >> (31 - exponent) for value in sums])
        sums = sums[fixed != np.floor(sums * real + 0.5)][:40]
        compared += len(sums)
        if len(sums):
            assert_exact(_bias_alone(sums, float(scale_in), scale, float(scale_out)), random, [zeros])
    assert compared > 200
    ties = np.arange(-2000, 2001)
    assert_exact(_bias_alone(ties, 2.0**-8, F32(2.0**-9), 2.0**-14), random, [zeros])


def _bias_alone(sums: np.ndarray, scale_in: float, scale: np.float32, scale_out: float) -> Graph:
    constants = weight_and_bias(np.ones((len(sums), 4)), np.full(len(sums), scale), sums, F32(scale_in))
    return graph_of(
        "Gemm",
        (int16("x", (1, 4), scale_in),),
        int16("y", (1, len(sums)), scale_out),
        {"activation": "none"},
        constants,
    )


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize("second", [(1, 8, 9, 7), (1, 1, 1, 7)], ids=["same", "row"])
@FEW
@given(seed=SEEDS)
def test_arithmetic_is_exact(kind: str, second: tuple[int, ...], seed: int) -> None:
    """Random scales and a fused activation, with and without broadcasting."""
    random = np.random.default_rng(seed)
    low = -13 if kind == "Mul" else -14
    scales = [scale_of(random, low, low + 3) for _ in range(3)]
    graph = graph_of(
        kind,
        (int16("a", (1, 8, 9, 7), scales[0]), int16("b", second, scales[1])),
        int16("y", (1, 8, 9, 7), scales[2]),
        {"activation": str(random.choice(["none", "relu", "relu6"]))},
    )
    assert_exact(graph, random)


@pytest.mark.parametrize("size", [15, 40, 48])
def test_addition_mirrors_blocks_of_sixteen(size: int) -> None:
    """Values for which the vector kernel's one rounding and the scalar loop's two give different answers."""
    random = np.random.default_rng(1)
    scales = [scale_of(random, -13, -10) for _ in range(3)]
    many = 200_003
    first, second = (random.integers(-9000, 9000, (1, many)).astype(np.int16) for _ in range(2))

    def graph(count: int) -> Graph:
        operands = (int16("a", (1, count), scales[0]), int16("b", (1, count), scales[1]))
        return graph_of("Add", operands, int16("y", (1, count), scales[2]), {"activation": "none"})

    default = litert_outputs(graph(many), [first, second])[0][0]
    reference = litert_outputs(graph(many), [first, second], "reference")[0][0]
    place = int(np.flatnonzero(default[0] != reference[0])[0])
    inputs = [np.full((1, size), values[0, place]) for values in (first, second)]
    assert_exact(graph(size), random, inputs, (None,))


@FEW
@given(seed=SEEDS)
def test_pools_and_means_are_exact(seed: int) -> None:
    """Average pools with cells outside the image, max pools, means over any axes with new parameters."""
    random = np.random.default_rng(seed)
    height, width, channels = (int(value) for value in random.integers(4, 12, 3))
    x = int16("x", (1, height, width, channels), scale_of(random))
    same = float(x.quantization.scale[0]) if x.quantization is not None else 1.0
    out = (1, (height - 2) // 2 + 1, (width - 2) // 2 + 1, channels)
    window = {"kernel": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0), "activation": "none"}
    pools = {"AveragePool": {**window, "count_include_pad": False}, "MaxPool": window}
    for kind, attributes in pools.items():
        assert_exact(graph_of(kind, (x,), int16("y", out, same), attributes), random)
    for axes in ((1, 2), (2,), (3,)):
        kept = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
        mean = graph_of("Mean", (x,), int16("y", kept, scale_of(random)), {"axes": axes, "keepdims": True})
        assert_exact(mean, random)


@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric", "align_corners"])
@FEW
@given(seed=SEEDS)
def test_resize_is_exact(mode: str, coordinates: str, seed: int) -> None:
    """From any to any size."""
    random = np.random.default_rng(seed)
    height, width, out_height, out_width = (int(value) for value in random.integers(2, 30, 4))
    attributes = {"mode": mode, "coordinates": coordinates, "size_hw": (out_height, out_width)}
    source, target = int16("x", (1, height, width, 3), 0.001), int16("y", (1, out_height, out_width, 3), 0.001)
    assert_exact(graph_of("Resize", (source,), target, attributes), random)


@pytest.mark.parametrize("kind", ["Sigmoid", "Tanh", "Relu", "Relu6", "Quantize"])
@FEW
@given(seed=SEEDS)
def test_functions_of_one_value_are_exact(kind: str, seed: int) -> None:
    """All 65,536 values."""
    random = np.random.default_rng(seed)
    scale = scale_of(random, -20, -8) if kind in ("Sigmoid", "Tanh") else scale_of(random)
    target = UNIT if kind in ("Sigmoid", "Tanh") else scale_of(random)
    graph = graph_of(kind, (int16("x", (1, 65536), scale),), int16("y", (1, 65536), target), {})
    assert_exact(graph, random, [EVERY_VALUE])


@FEW
@given(seed=SEEDS)
def test_the_larger_and_the_smaller_are_exact(seed: int) -> None:
    """Of two activations with one scale, and of one and a broadcast one."""
    random = np.random.default_rng(seed)
    scale = scale_of(random)
    for kind in ("Max", "Min"):
        for shape in ((1, 7, 5, 4), (1, 1, 1, 4)):
            inputs = (int16("x", (1, 7, 5, 4), scale), int16("w", shape, scale))
            assert_exact(graph_of(kind, inputs, int16("y", (1, 7, 5, 4), scale), {}), random)


@pytest.mark.parametrize(("low", "high"), [(-0.2, 0.3), (-3.0, -0.3), (0.1, float("inf"))])
def test_a_clip_is_exact_as_the_file_holds_it(low: float, high: float) -> None:
    """TFLite's MAXIMUM and MINIMUM, read back."""
    scale = 2.0**-14
    graph = graph_of("Clip", (int16("x", (1, 65536), scale),), int16("y", (1, 65536), scale), {"min": low, "max": high})
    found = IntegerSimulation(read_tflite(tflite_bytes(graph))).run([EVERY_VALUE])[0]
    assert np.array_equal(found, litert_outputs(graph, [EVERY_VALUE])[0][0])
    assert np.array_equal(found, IntegerSimulation(graph).run([EVERY_VALUE])[0])


@pytest.mark.unhurried
@FEW
@given(seed=SEEDS)
def test_softmax_and_arg_max_are_exact(seed: int) -> None:
    """Far and near logits; ArgMax reads int16 through a Cast to int32."""
    random = np.random.default_rng(seed)
    for size in (2, 10, 1001):
        graph = graph_of(
            "Softmax", (int16("x", (2, size), scale_of(random, -18, -8)),), int16("y", (2, size), UNIT), {"axis": 1}
        )
        assert_exact(graph, random)
        assert_exact(graph, random, [random.integers(-300, 300, (2, size)).astype(np.int16)])
    classes = Tensor(name="y", shape=(1, 5, 6), dtype="int32")
    source = int16("x", (1, 5, 6, 4), 0.01)
    graph = graph_of("ArgMax", (source,), classes, {"axis": 3, "keepdims": False})
    assert_exact(graph, random)
    assert_exact(graph, random, [random.integers(-2, 3, (1, 5, 6, 4)).astype(np.int16)])


@FEW
@given(seed=SEEDS)
def test_boundaries_are_exact(seed: int) -> None:
    """float32 to int16, with ties (the optimized kernel rounds them to even), int8 to int16 and back, and to float."""
    random = np.random.default_rng(seed)
    scale = scale_of(random)
    reals = (random.normal(size=(1, 3000)) * scale * 20000).astype(F32)
    reals[0, ::3] = (np.arange(1000) - 500 + 0.5).astype(F32) * F32(scale)
    real = Tensor(name="x", shape=(1, 3000), dtype="float32")
    assert_exact(graph_of("Quantize", (real,), int16("y", (1, 3000), scale), {}), random, [reals], (None,))
    narrow = activation("y", (1, 65536), Parameters(scale=scale * 400, zero_point=int(random.integers(-128, 128))))
    assert_exact(graph_of("Quantize", (int16("x", (1, 65536), scale),), narrow, {}), random, [EVERY_VALUE])
    result = Tensor(name="y", shape=(1, 65536), dtype="float32")
    assert_exact(graph_of("Dequantize", (int16("x", (1, 65536), scale),), result, {}), random, [EVERY_VALUE])


def test_movements_are_exact() -> None:
    """Pad with the zero point 0, Concat, Reshape, Transpose and a strided Slice."""
    random = np.random.default_rng(0)
    x = int16("x", (1, 5, 6, 4), 0.01)
    cases = {
        "Pad": ((1, 7, 9, 4), {"pads": ((0, 0), (1, 1), (2, 1), (0, 0)), "value": 0.0}),
        "Reshape": ((1, 120), {"shape": (1, 120)}),
        "Transpose": ((1, 4, 5, 6), {"perm": (0, 3, 1, 2)}),
        "Slice": ((1, 2, 2, 4), {"begin": (0, 1, 1, 0), "end": (1, 3, 4, 4), "strides": (1, 1, 2, 1)}),
    }
    for kind, (shape, attributes) in cases.items():
        assert_exact(graph_of(kind, (x,), int16("y", shape, 0.01), attributes), random)
    other = int16("z", (1, 5, 6, 4), 0.01)
    assert_exact(graph_of("Concat", (x, other), int16("y", (1, 5, 6, 8), 0.01), {"axis": 3}), random)


def test_an_operator_without_an_int16_kernel_is_refused_by_name() -> None:
    """HardSwish has int8 kernels only; the writer and the simulation say so."""
    graph = graph_of("HardSwish", (int16("x", (1, 8), 0.01),), int16("y", (1, 8), 0.01), {})
    with pytest.raises(UnsupportedError, match="has no int16 kernel in LiteRT"):
        tflite_bytes(graph)
    with pytest.raises(UnsupportedError, match="HardSwish 'hardswish' over int16"):
        IntegerSimulation(graph)


def test_a_zero_point_is_refused() -> None:
    """The 16x8 kernels are symmetric."""
    x = activation("x", (1, 8), Parameters(scale=0.01, zero_point=5), "int16")
    graph = graph_of("Relu", (x,), int16("y", (1, 8), 0.01), {})
    with pytest.raises(UnsupportedError, match="zero point 5"):
        IntegerSimulation(graph)


def test_what_is_written_out_and_what_is_simulated_are_the_same_kinds() -> None:
    """The reader leaves an operator between integers exactly where there is a formula."""
    assert set(INT16_BUILDERS) == INT16_KINDS
