"""The integer formulas of arithmetic, functions, reductions and norms against LiteRT, value by value.

Each case is an NCHW graph of one operator with random parameters, shapes and inputs: simulated as it is, simulated in
NHWC, and run by LiteRT's default kernels.
"""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from converters.passes.layout.nhwc import to_nhwc
from converters.passes.legalize import legalize
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph, Tensor, per_tensor
from edge.graph.ops.integer_form import integer_fault
from tests.benchmarks.exactness import random_parameters
from tests.support.examples import examples
from tests.support.one_operator import Parameters, activation, graph_of, litert_outputs, random_input

Random = np.random.Generator
Array = np.ndarray[Any, Any]
F32 = np.float32
SEEDS = st.integers(0, 2**32 - 1)
FEW = examples(10)
EVERY = np.arange(-128, 128).astype(np.int8).reshape(1, 4, 8, 8)

torch.set_num_threads(1)


def nchw(
    kind: str, inputs: tuple[Tensor, ...], output: Tensor, attributes: dict[str, Any], *constants: Tensor
) -> Graph:
    """A one-operator NCHW graph, lowered as the writers get it."""
    graph = graph_of(kind, inputs, output, attributes, constants)
    return legalize(Graph(**{**vars(graph), "layout": "nchw"}))


def assert_exact(graph: Graph, random: Random, inputs: list[Array] | None = None) -> None:
    """Both simulations equal LiteRT's default kernels."""
    given_inputs = inputs or [random_input(random, graph.tensors[name]) for name in graph.inputs]
    rearranged = to_nhwc(graph)
    moved = [np.ascontiguousarray(a.transpose(0, 2, 3, 1)) if a.ndim == 4 else a for a in given_inputs]
    output, info = litert_outputs(rearranged, moved)
    first, second = IntegerSimulation(graph).run(given_inputs)[0], IntegerSimulation(rearranged).run(moved)[0]
    assert np.array_equal(second, output[0]), f"{info.kernels}: {np.count_nonzero(second != output[0])} values differ"
    expected = output[0].transpose(0, 3, 1, 2) if output[0].ndim == 4 else output[0]
    assert np.array_equal(first, expected)


def number(value: int, parameters: Parameters, shape: tuple[int, ...] = ()) -> Tensor:
    """A constant of one integer."""
    return Tensor(
        name="number",
        shape=shape,
        dtype="int8",
        data=np.full(shape, value, np.int8),
        quantization=per_tensor(F32(parameters.scale), parameters.zero_point),
    )


FUNCTIONS: dict[str, dict[str, Any]] = {
    "Exp": {},
    "Log": {},
    "Gelu": {"approximate": False},
    "Gelu by tanh": {"approximate": True},
    "Elu": {"alpha": 1.0},
    "Abs": {},
    "Neg": {},
    "Sqrt": {},
    "Rsqrt": {},
}


@pytest.mark.parametrize("name", FUNCTIONS)
@FEW
@given(seed=SEEDS)
def test_functions_of_one_value_are_exact(name: str, seed: int) -> None:
    """All 256 values; the scales of every fourth case make ties (the input's is the square or root of the output's)."""
    random = np.random.default_rng(seed)
    source, target = random_parameters(random), random_parameters(random, -8, 1)
    kind = name.split()[0]
    if kind in ("Sqrt", "Rsqrt"):
        tie = F32(target.scale) ** 2 if kind == "Sqrt" else F32(1) / F32(target.scale) ** 2
        scale = float(tie) if seed % 4 == 0 else source.scale
        source = Parameters(scale=scale, zero_point=-128)
    x, y = activation("x", EVERY.shape, source), activation("y", EVERY.shape, target)
    assert_exact(nchw(kind, (x,), y, FUNCTIONS[name]), random, [EVERY])


@FEW
@given(seed=SEEDS, alpha=st.sampled_from([0.01, 0.1, 0.3, 1.5, -0.5]))
def test_leaky_relu_is_exact(seed: int, alpha: float) -> None:
    """All 256 values, slopes above 1 and below 0 too, over the ratios of scales that have an integer form."""
    random = np.random.default_rng(seed)
    x, y = (
        activation("x", EVERY.shape, random_parameters(random)),
        activation("y", EVERY.shape, random_parameters(random)),
    )
    graph = graph_of("LeakyRelu", (x,), y, {"alpha": float(F32(alpha))})
    if not integer_fault(graph.operators[0], graph.tensors):
        assert_exact(nchw("LeakyRelu", (x,), y, {"alpha": float(F32(alpha))}), random, [EVERY])


@FEW
@given(seed=SEEDS)
def test_p_relu_is_exact(seed: int) -> None:
    """A slope per channel, with a zero point of its own."""
    random = np.random.default_rng(seed)
    shape = (1, int(random.integers(2, 9)), 7, 5)
    slope = Tensor(
        name="slope",
        shape=(shape[1], 1, 1),
        dtype="int8",
        data=random.integers(-128, 128, (shape[1], 1, 1)).astype(np.int8),
        quantization=per_tensor(F32(random.uniform(0.001, 0.02)), int(random.integers(-60, 60))),
    )
    x, y = activation("x", shape, random_parameters(random)), activation("y", shape, random_parameters(random))
    assert_exact(nchw("PRelu", (x,), y, {}, slope), random)


@FEW
@given(seed=SEEDS, axes=st.sampled_from([(1,), (2, 3), (2,), (3,), (1, 2, 3)]), keepdims=st.booleans())
def test_sums_are_exact(seed: int, axes: tuple[int, ...], keepdims: bool) -> None:
    """Every other scale is a multiple of the input's, which makes ties."""
    random = np.random.default_rng(seed)
    shape = (1, *(int(value) for value in random.integers(1, 12, 3)))
    source, target = random_parameters(random), random_parameters(random, -3, 2)
    if seed % 2:
        target = Parameters(
            scale=float(F32(source.scale) * F32(random.choice([2, 4, 6, 10]))), zero_point=seed % 256 - 128
        )
    assert_reduction("ReduceSum", shape, axes, keepdims, (source, target), random)


@pytest.mark.parametrize("kind", ["ReduceMax", "ReduceMin"])
@FEW
@given(seed=SEEDS, axes=st.sampled_from([(1,), (2, 3), (2,), (3,), (1, 2, 3)]), keepdims=st.booleans())
def test_extremes_are_exact(kind: str, seed: int, axes: tuple[int, ...], keepdims: bool) -> None:
    """Over any axes."""
    random = np.random.default_rng(seed)
    shape = (1, *(int(value) for value in random.integers(1, 12, 3)))
    shared = random_parameters(random)
    assert_reduction(kind, shape, axes, keepdims, (shared, shared), random)


def assert_reduction(
    kind: str,
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    keepdims: bool,
    parameters: tuple[Parameters, Parameters],
    random: Random,
) -> None:
    left = [1 if axis in axes else size for axis, size in enumerate(shape)]
    reduced = tuple(left) if keepdims else tuple(size for axis, size in enumerate(shape) if axis not in axes)
    x, y = activation("x", shape, parameters[0]), activation("y", reduced, parameters[1])
    assert_exact(nchw(kind, (x,), y, {"axes": axes, "keepdims": keepdims}), random)


BROADCASTS = [
    ((1, 6, 5, 4), (1, 6, 5, 4)),
    ((1, 6, 5, 4), (1, 6, 1, 1)),
    ((1, 1, 5, 1), (1, 6, 5, 4)),
    ((1, 6, 5, 4), (4,)),
    ((5, 1), (1, 6, 5, 4)),
    ((2, 3), (1, 3)),
    ((2, 7, 3), (2, 1, 3)),
    ((1, 2, 3, 4, 5), (2, 1, 4, 1)),
]


@pytest.mark.parametrize("kind", ["Max", "Min", "Add", "Sub", "Mul"])
@FEW
@given(seed=SEEDS, shapes=st.sampled_from(BROADCASTS))
def test_two_operands_of_any_ranks_are_exact(kind: str, seed: int, shapes: tuple[tuple[int, ...], ...]) -> None:
    """Broadcast as numpy does, from either side."""
    random = np.random.default_rng(seed)
    parameters = [random_parameters(random) for _ in range(3)]
    if kind in ("Max", "Min"):
        parameters = [parameters[0]] * 3
    a, b = activation("a", shapes[0], parameters[0]), activation("b", shapes[1], parameters[1])
    y = activation("y", np.broadcast_shapes(*shapes), parameters[2])
    assert_exact(nchw(kind, (a, b), y, {} if kind in ("Max", "Min") else {"activation": "none"}), random)


@pytest.mark.parametrize("kind", ["Max", "Min", "Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("constant_first", [False, True], ids=["x op c", "c op x"])
@FEW
@given(seed=SEEDS)
def test_a_constant_may_stand_on_either_side(kind: str, constant_first: bool, seed: int) -> None:
    """One number: as scalar or with ones. A constant divided by x has no integer form."""
    if kind == "Div" and constant_first:
        return
    random = np.random.default_rng(seed)
    parameters = [random_parameters(random) for _ in range(3)]
    if kind in ("Max", "Min"):
        parameters = [parameters[0]] * 3
    value = int(random.integers(-128, 127))
    value += value == parameters[1].zero_point
    constant = number(value, parameters[1], ((), (1, 1, 1, 1), (1,))[seed % 3])
    x, y = activation("x", EVERY.shape, parameters[0]), activation("y", EVERY.shape, parameters[2])
    attributes = {} if kind in ("Max", "Min") else {"activation": str(random.choice(["none", "relu", "relu6"]))}
    graph = graph_of(kind, (x,), y, attributes, (constant,))
    if constant_first:
        (operator,) = graph.operators
        swapped = type(operator)(**{**vars(operator), "inputs": operator.inputs[::-1]})
        graph = Graph(**{**vars(graph), "operators": (swapped,)})
    assert_exact(legalize(Graph(**{**vars(graph), "layout": "nchw"})), random, [EVERY])


@FEW
@given(seed=SEEDS, axis=st.integers(1, 3))
def test_l2_norm_and_log_softmax_are_exact_over_any_axis(seed: int, axis: int) -> None:
    """Vectors of one value, of zeros and near them too."""
    random = np.random.default_rng(seed)
    shape = (1, *(int(value) for value in random.integers(1, 24, 3)))
    source = random_parameters(random, -7, 0)
    values = random.integers(-128, 128, shape)
    if seed % 3 == 0:
        values = np.clip(source.zero_point + random.integers(-2, 3, shape), -128, 127)
    inputs = [values.astype(np.int8)]
    x = activation("x", shape, source)
    norm = activation("y", shape, Parameters(scale=1 / 128, zero_point=0))
    assert_exact(nchw("L2Norm", (x,), norm, {"axis": axis, "epsilon": 1e-12}), random, inputs)
    logarithm = activation("y", shape, Parameters(scale=1 / 16, zero_point=127))
    assert_exact(nchw("LogSoftmax", (x,), logarithm, {"axis": axis}), random, inputs)
    share = activation("y", shape, Parameters(scale=1 / 256, zero_point=-128))
    assert_exact(nchw("Softmax", (x,), share, {"axis": axis}), random, inputs)


@FEW
@given(seed=SEEDS)
def test_a_clip_to_any_limits_is_exact(seed: int) -> None:
    """Limits inside, on and outside the type's range, or none."""
    random = np.random.default_rng(seed)
    shared = random_parameters(random)
    low, high = sorted(float(F32(value)) for value in random.uniform(-150, 150, 2) * shared.scale)
    limits = {"min": -np.inf if seed % 5 == 0 else low, "max": np.inf if seed % 5 == 1 else high}
    x, y = activation("x", EVERY.shape, shared), activation("y", EVERY.shape, shared)
    assert_exact(nchw("Clip", (x,), y, limits), random, [EVERY])


@FEW
@given(seed=SEEDS, shape=st.sampled_from([(1, 4, 8, 8), (1, 256), (2, 8, 16), (256,), (1, 2, 4, 4, 8)]))
def test_hard_sigmoid_is_exact_as_a_convolution(seed: int, shape: tuple[int, ...]) -> None:
    """Over any rank, with an output range that clamps to [0, 1] by itself or does not."""
    random = np.random.default_rng(seed)
    target = Parameters(scale=1 / 255, zero_point=-128) if seed % 2 else random_parameters(random)
    x, y = activation("x", shape, random_parameters(random)), activation("y", shape, target)
    attributes = {"alpha": float(F32(random.uniform(0.05, 0.5))), "beta": float(F32(random.uniform(-0.2, 1.2)))}
    graph = nchw("HardSigmoid", (x,), y, attributes)
    assert_exact(graph, random, [EVERY.reshape(shape)])
    given_values = EVERY.reshape(shape).astype(np.float64)
    assert x.quantization is not None
    real = (given_values - int(x.quantization.zero_point[0])) * float(x.quantization.scale[0])
    gate = np.clip(real * attributes["alpha"] + attributes["beta"], 0, 1)
    expected = np.clip(gate / target.scale + target.zero_point, -128, 127)
    found = IntegerSimulation(graph).run([EVERY.reshape(shape)])[0]
    offset_step = attributes["alpha"] * float(x.quantization.scale[0]) / 127 / target.scale
    assert np.abs(found - expected).max() <= 0.51 + offset_step / 2


@FEW
@given(seed=SEEDS)
def test_a_product_of_scales_far_above_the_outputs_is_exact(seed: int) -> None:
    """LiteRT's own kernels overflow there: through a coarser tensor."""
    random = np.random.default_rng(seed)
    x, y = (
        activation(name, EVERY.shape, random_parameters(random, *ends))
        for name, ends in (("x", (1, 3)), ("y", (-9, -8)))
    )
    graph = nchw(
        "Mul",
        (x,),
        y,
        {"activation": "none"},
        number(int(random.integers(-128, 128)), Parameters(scale=1, zero_point=3)),
    )
    assert [operator.kind for operator in graph.operators] == ["Mul", "Quantize"]
    assert_exact(graph, random, [EVERY])


@pytest.mark.parametrize("kind", ["Add", "Sub"])
@FEW
@given(seed=SEEDS)
def test_sums_of_scales_far_above_the_outputs_are_exact_and_near_the_real_sum(kind: str, seed: int) -> None:
    """From a ratio of 256 on: through a tensor on the coarser grid, whose half step is what the sum may be off by."""
    random = np.random.default_rng(seed)
    target = random_parameters(random, -13, -11.1)
    a = random_parameters(random, -3, -2)
    b = random_parameters(random, -12, -2)
    shape = (1, 8, 16, 16)
    graph = nchw(
        kind,
        (activation("a", shape, a), activation("b", shape, b)),
        activation("y", shape, target),
        {"activation": "none"},
    )
    assert [operator.kind for operator in graph.operators] == [kind, "Quantize"]
    inputs = [
        np.clip(parameters.zero_point + random.integers(-3, 4, shape), -128, 127).astype(np.int8)
        for parameters in (a, b)
    ]
    assert_exact(graph, random, inputs)
    first, second = (
        (values.astype(np.float64) - p.zero_point) * float(F32(p.scale))
        for values, p in zip(inputs, (a, b), strict=True)
    )
    real = (first + second if kind == "Add" else first - second) / float(F32(target.scale)) + target.zero_point
    step = max(a.scale, b.scale) / 255 / target.scale
    found = IntegerSimulation(graph).run(inputs)[0]
    assert np.abs(found - np.clip(real, -128, 127)).max() <= step + 1.01


@pytest.mark.parametrize("kind", ["Sqrt", "Rsqrt", "Pow", "Floor", "Ceil", "Round", "Sin", "Cos", "Div"])
def test_what_no_kernel_computes_stays_in_float_between_two_changes_of_numbers(kind: str) -> None:
    """And LiteRT gives the simulation's integers."""
    x = activation("x", EVERY.shape, Parameters(scale=0.02, zero_point=-100))
    y = activation("y", EVERY.shape, Parameters(scale=0.05, zero_point=-20))
    constants = () if kind not in ("Pow", "Div") else (number(3, Parameters(scale=0.5, zero_point=0)),)
    graph = graph_of(kind, (x,), y, {"activation": "none"} if kind == "Div" else {}, constants)
    if kind == "Div":  # a number over x
        (operator,) = graph.operators
        swapped = type(operator)(**{**vars(operator), "inputs": operator.inputs[::-1]})
        graph = Graph(**{**vars(graph), "operators": (swapped,)})
    lowered = legalize(Graph(**{**vars(graph), "layout": "nchw"}))
    assert [operator.kind for operator in lowered.operators] == ["Dequantize", kind, "Quantize"]
    inputs = [np.clip(EVERY, -99, 127)]
    rearranged = to_nhwc(lowered)
    moved = [np.ascontiguousarray(array.transpose(0, 2, 3, 1)) for array in inputs]
    output, _ = litert_outputs(rearranged, moved)
    difference = np.abs(IntegerSimulation(rearranged).run(moved)[0].astype(int) - output[0])
    assert difference.max() <= 1 and np.count_nonzero(difference) <= 2
