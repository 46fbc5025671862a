"""Every operator of the integer simulation gives LiteRT's answer, value by value, for random parameters and inputs."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UnsupportedError
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph, Tensor
from tests.benchmarks.exactness import random_parameters
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

Random = np.random.Generator
F32 = np.float32
SEEDS = st.integers(0, 2**32 - 1)
FEW = examples(12)

torch.set_num_threads(1)


def assert_exact(graph: Graph, random: Random, inputs: list[np.ndarray] | None = None) -> None:
    """The simulation equals LiteRT's default kernels on one input."""
    given_inputs = inputs or [random_input(random, graph.tensors[name]) for name in graph.inputs]
    output, info = litert_outputs(graph, given_inputs)
    simulated = IntegerSimulation(graph).run(given_inputs)
    for expected, found in zip(output, simulated, strict=True):
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected), f"{info.kernels}: {np.count_nonzero(found != expected)} values differ"


def window(random: Random, height: int, width: int, kernel: int, stride: int, dilation: int) -> tuple[int, ...]:
    """SAME or VALID pads."""
    if random.integers(2):
        return (0, 0, 0, 0)
    amounts = []
    for size in (height, width):
        reach = (kernel - 1) * dilation + 1
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        amounts.append((total // 2, total - total // 2))
    return (amounts[0][0], amounts[1][0], amounts[0][1], amounts[1][1])


@pytest.mark.parametrize("form", ["full", "depthwise", "pointwise", "multiplier"])
@FEW
@given(seed=SEEDS)
def test_convolution_is_exact(form: str, seed: int) -> None:
    """Any stride, dilation, SAME or VALID padding, fused activation, with per-channel weights."""
    random = np.random.default_rng(seed)
    height, width, channels = (int(value) for value in random.integers(7, 14, 3))
    kernel = 1 if form == "pointwise" else int(random.choice([2, 3, 5]))
    stride = int(random.integers(1, 3))
    dilation = int(random.integers(1, 3)) if stride == 1 and kernel < 5 else 1
    depthwise = form in ("depthwise", "multiplier")
    out = channels * (2 if form == "multiplier" else 1) if depthwise else int(random.integers(1, 40))
    group = channels if depthwise else 1
    pads = window(random, height, width, kernel, stride, dilation)
    reach = (kernel - 1) * dilation + 1
    out_hw = [
        (size + before + after - reach) // stride + 1
        for size, before, after in zip((height, width), pads[:2], pads[2:], strict=True)
    ]
    weight = random.integers(-127, 128, (out, channels // group, kernel, kernel))
    spread = np.sqrt(kernel * kernel * channels / group) * 5000
    scale = (2.0 ** random.uniform(-2, 2, out) / spread).astype(F32)
    graph = conv_graph(
        activation(
            "x", (1, height, width, channels), Parameters(scale=1.0, zero_point=int(random.integers(-128, 128)))
        ),
        activation("y", (1, *out_hw, out), Parameters(scale=0.02, zero_point=int(random.integers(-128, 128)))),
        weight,
        scale,
        random.integers(-30000, 30000, out),
        pads=pads,
        strides=(stride, stride),
        dilations=(dilation, dilation),
        group=group,
        activation=str(random.choice(["none", "relu", "relu6"])),
    )
    assert_exact(graph, random)


@FEW
@given(seed=SEEDS)
def test_fully_connected_is_exact(seed: int) -> None:
    """Up to 1280 inputs, per-channel weights."""
    random = np.random.default_rng(seed)
    inputs, outputs = int(random.integers(1, 1281)), int(random.integers(1, 60))
    source = activation("x", (1, inputs), random_parameters(random, -4, -3))
    scale = (2.0 ** random.uniform(-2, 2, outputs) / np.sqrt(inputs) / 300).astype(F32)
    weight = random.integers(-127, 128, (outputs, inputs))
    assert source.quantization is not None
    constants = weight_and_bias(weight, scale, random.integers(-30000, 30000, outputs), source.quantization.scale[0])
    target = activation("y", (1, outputs), random_parameters(random, -4, 0))
    graph = graph_of("Gemm", (source,), target, {"activation": str(random.choice(["none", "relu"]))}, constants)
    assert_exact(graph, random)


def test_convolution_is_exact_where_float32_sums_are_not() -> None:
    """The largest possible sums exceed 2**24; the simulation splits the weights and stays exact."""
    random = np.random.default_rng(0)
    weight = np.full((8, 1200, 3, 3), 127)
    weight[::2] = -127
    graph = conv_graph(
        activation("x", (1, 6, 6, 1200), Parameters(scale=1.0, zero_point=-128)),
        activation("y", (1, 4, 4, 8), Parameters(scale=1.0, zero_point=0)),
        weight,
        np.full(8, 1e-6, F32) * np.arange(1, 9, dtype=F32) / F32(8),
        random.integers(-(2**26), 2**26, 8),
    )
    assert_exact(graph, random)


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul"])
@FEW
@given(seed=SEEDS)
def test_arithmetic_is_exact(kind: str, seed: int) -> None:
    """Any parameters, fused activation, with and without broadcasting."""
    random = np.random.default_rng(seed)
    second = (1, 1, 1, 8) if random.integers(2) else (1, 16, 16, 8)
    inputs = (
        activation("a", (1, 16, 16, 8), random_parameters(random)),
        activation("b", second, random_parameters(random)),
    )
    target = activation("y", (1, 16, 16, 8), random_parameters(random))
    attributes = {"activation": str(random.choice(["none", "relu", "relu6"]))}
    assert_exact(graph_of(kind, inputs, target, attributes), random)


@pytest.mark.parametrize("kind", ["Add", "Sub"])
@FEW
@given(seed=SEEDS)
def test_arithmetic_of_very_unequal_scales_is_exact(kind: str, seed: int) -> None:
    """XNNPACK leaves a ratio below 2**-10 to the built-in kernel."""
    random = np.random.default_rng(seed)
    inputs = (
        activation("a", (1, 16, 16, 8), random_parameters(random, -16, -2)),
        activation("b", (1, 16, 16, 8), random_parameters(random, -5, -3)),
    )
    target = activation("y", (1, 16, 16, 8), random_parameters(random, -4, -2))
    assert_exact(graph_of(kind, inputs, target, {"activation": "none"}), random)


@pytest.mark.parametrize("kind", ["AveragePool", "MaxPool"])
@FEW
@given(seed=SEEDS)
def test_pools_are_exact(kind: str, seed: int) -> None:
    """Any window and stride, SAME or VALID; padding is omitted from an average."""
    random = np.random.default_rng(seed)
    height, width = (int(value) for value in random.integers(6, 15, 2))
    kernel, stride = int(random.integers(2, 6)), int(random.integers(1, 4))
    pads = window(random, height, width, kernel, stride, 1)
    rows, columns = (
        (size + before + after - kernel) // stride + 1
        for size, before, after in zip((height, width), pads[:2], pads[2:], strict=True)
    )
    shared = random_parameters(random)
    attributes: dict[str, object] = {"kernel": (kernel, kernel), "strides": (stride, stride), "pads": pads}
    attributes["activation"] = str(random.choice(["none", "relu"]))
    if kind == "AveragePool":
        attributes["count_include_pad"] = False
    source = activation("x", (1, height, width, 9), shared)
    assert_exact(graph_of(kind, (source,), activation("y", (1, rows, columns, 9), shared), attributes), random)


@FEW
@given(seed=SEEDS)
def test_mean_is_exact(seed: int) -> None:
    """Over the spatial axes, with its own output parameters."""
    random = np.random.default_rng(seed)
    height, width = (int(value) for value in random.integers(1, 17, 2))
    keep = bool(random.integers(2))
    source = activation("x", (1, height, width, 70), random_parameters(random))
    target = activation("y", (1, 1, 1, 70) if keep else (1, 70), random_parameters(random))
    assert_exact(graph_of("Mean", (source,), target, {"axes": (1, 2), "keepdims": keep}), random)


@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric", "align_corners"])
@FEW
@given(seed=SEEDS)
def test_resize_is_exact(mode: str, coordinates: str, seed: int) -> None:
    """Any size to any size."""
    random = np.random.default_rng(seed)
    before, after = random.integers(1, 12, 2), random.integers(1, 40, 2)
    size_hw = (int(after[0]), int(after[1]))
    shared = random_parameters(random)
    source = activation("x", (1, int(before[0]), int(before[1]), 5), shared)
    attributes = {"mode": mode, "coordinates": coordinates, "size_hw": size_hw}
    assert_exact(graph_of("Resize", (source,), activation("y", (1, *size_hw, 5), shared), attributes), random)


def moves() -> dict[str, Callable[[Parameters], Graph]]:
    """One graph per operator that only moves values."""
    box = (1, 6, 5, 8)
    return {
        "Concat": lambda shared: graph_of(
            "Concat",
            (activation("a", box, shared), activation("b", (1, 6, 5, 3), shared)),
            activation("y", (1, 6, 5, 11), shared),
            {"axis": 3},
        ),
        "Pad": lambda shared: graph_of(
            "Pad",
            (activation("a", box, shared),),
            activation("y", (1, 8, 8, 8), shared),
            {"pads": ((0, 0), (1, 1), (1, 2), (0, 0)), "value": 0.0},
        ),
        "Reshape": lambda shared: graph_of(
            "Reshape", (activation("a", box, shared),), activation("y", (1, 240), shared), {"shape": (1, 240)}
        ),
        "Transpose": lambda shared: graph_of(
            "Transpose", (activation("a", box, shared),), activation("y", (1, 8, 6, 5), shared), {"perm": (0, 3, 1, 2)}
        ),
        "Slice": lambda shared: graph_of(
            "Slice",
            (activation("a", box, shared),),
            activation("y", (1, 3, 2, 8), shared),
            {"begin": (0, 1, 1, 0), "end": (1, 4, 5, 8), "strides": (1, 1, 2, 1)},
        ),
    }


@pytest.mark.parametrize("kind", list(moves()))
def test_moving_operators_are_exact(kind: str) -> None:
    """Concat, pad (with the zero point), reshape, transpose, strided slice."""
    random = np.random.default_rng(1)
    for _ in range(3):
        assert_exact(moves()[kind](random_parameters(random)), random)


FIXED_OUTPUT = {"Sigmoid": Parameters(scale=1 / 256, zero_point=-128), "Tanh": Parameters(scale=1 / 128, zero_point=0)}


@pytest.mark.parametrize("kind", ["Relu", "Relu6", "HardSwish", "Sigmoid", "Tanh", "Quantize"])
@FEW
@given(seed=SEEDS)
def test_functions_of_one_value_are_exact(kind: str, seed: int) -> None:
    """All 256 values, with a change of parameters."""
    random = np.random.default_rng(seed)
    every = np.arange(-128, 128).astype(np.int8).reshape(1, 16, 16, 1)
    target = FIXED_OUTPUT.get(kind, random_parameters(random))
    source = activation("x", every.shape, random_parameters(random))
    assert_exact(graph_of(kind, (source,), activation("y", every.shape, target), {}), random, [every])


@FEW
@given(seed=SEEDS)
def test_softmax_is_exact(seed: int) -> None:
    """Any scale, up to 1001 classes."""
    random = np.random.default_rng(seed)
    classes = int(random.choice([2, 10, 21, 1001]))
    x = np.clip(np.rint(random.normal(0, random.uniform(3, 60), (1, 6, classes))), -128, 127).astype(np.int8)
    source = activation("x", x.shape, random_parameters(random, -7, 0))
    target = activation("y", x.shape, Parameters(scale=1 / 256, zero_point=-128))
    assert_exact(graph_of("Softmax", (source,), target, {"axis": 2}), random, [x])


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([21, 0, 11, 26, 15, 0], [63, 1, 10, 158, 21, 1]),  # a sum in double gives 64
        ([24, 7, 23, 2, 17, 2], [117, 5, 97, 2, 32, 2]),  # numpy's float32 exp gives 33
    ],
)
def test_softmax_adds_in_float32_and_rounds_exp_once(row: list[int], expected: list[int]) -> None:
    x = np.array([row], np.int16) - 128
    source = activation("x", x.shape, Parameters(scale=0.18273776769638062, zero_point=0))
    target = activation("y", x.shape, Parameters(scale=1 / 256, zero_point=-128))
    graph = graph_of("Softmax", (source,), target, {"axis": 1})
    assert (IntegerSimulation(graph).run([x.astype(np.int8)])[0] + np.int16(128)).tolist() == [expected]
    assert_exact(graph, np.random.default_rng(0), [x.astype(np.int8)])


def test_an_operator_over_two_integer_types_is_refused_by_name() -> None:
    """LiteRT has a Softmax from int8 to int16, with steps of its own."""
    source = activation("x", (1, 6), Parameters(scale=0.1, zero_point=0))
    target = activation("y", (1, 6), Parameters(scale=1 / 32768, zero_point=0), "int16")
    with pytest.raises(UnsupportedError, match="Softmax 'softmax': int8 in and int16 out"):
        IntegerSimulation(graph_of("Softmax", (source,), target, {"axis": 1}))


def test_argmax_takes_the_first_of_equal_values() -> None:
    """As LiteRT does."""
    random = np.random.default_rng(0)
    x = random.integers(-2, 3, (1, 16, 16, 7)).astype(np.int8)
    source = activation("x", x.shape, random_parameters(random))
    target = Tensor(name="y", shape=(1, 16, 16), dtype="int32")
    assert_exact(graph_of("ArgMax", (source,), target, {"axis": 3, "keepdims": False}), random, [x])
