import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edge.artifact.scheme import TIED
from edge.errors import EdgeError, UnsupportedError, UsageError
from edge.execution.float_run import FloatRun
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph, Operator, Tensor
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.ptq.estimators import ESTIMATORS, least_squares, minmax, percentile, squared_errors
from edge.quantization.ptq.histogram import Histogram
from edge.quantization.qat.freeze import float_graph
from tests.support.examples import examples
from tests.support.quantization_networks import SIZE_HW, Branches, TinyResNet, images, trained_statistics

EXAMPLE = torch.zeros(1, 3, *SIZE_HW)


def histogram_of(*batches: np.ndarray) -> Histogram:
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch.astype(np.float32), "x")
    return histogram


@examples(30)
@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=40), st.integers(0, 40), st.randoms())
def test_a_histogram_knows_no_order_and_no_batches(values: list[float], cut: int, random: object) -> None:
    array = np.array(values, np.float32)
    one = histogram_of(array)
    two = histogram_of(array[:cut][::-1], array[cut:])
    assert (one.low, one.high, one.values) == (two.low, two.high, two.values)
    assert all(np.array_equal(a, b) for a, b in zip(one.filled(), two.filled(), strict=True))
    assert one.filled()[1].sum() == array.size


def test_bins_are_fine_against_a_quantum() -> None:
    values = np.random.default_rng(0).normal(size=10_000).astype(np.float32)
    centres, counts = histogram_of(values * 0.01, values).filled()
    width = np.diff(centres).min()
    assert width <= np.abs(values).max() / 4096
    assert counts.sum() == 20_000


def test_minmax_is_the_extremes_and_holds_zero() -> None:
    assert minmax(histogram_of(np.array([1.0, 5.0]))) == (0.0, 5.0)
    assert minmax(histogram_of(np.array([-2.0]), np.array([3.0]))) == (-2.0, 3.0)


def test_the_percentile_leaves_an_outlier_out() -> None:
    values = np.concatenate([np.linspace(0, 1, 100_000), [100.0]])
    low, high = percentile(histogram_of(values))
    assert low == 0.0 and 0.99 < high < 1.1


def test_least_squares_is_never_worse_than_minmax_and_cuts_a_heavy_tail() -> None:
    values = np.random.default_rng(0).laplace(size=500_000)
    histogram = histogram_of(values)
    centres, counts = histogram.filled()
    found = least_squares(histogram)
    mine, widest = squared_errors([found, minmax(histogram)], centres, counts.astype(float))
    assert mine <= widest
    assert found[1] - found[0] < 0.9 * (histogram.high - histogram.low)


def test_least_squares_keeps_a_uniform_range() -> None:
    low, high = least_squares(histogram_of(np.linspace(-1, 1, 100_001)))
    assert low == pytest.approx(-1, abs=0.02) and high == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("estimator", list(ESTIMATORS))
def test_integers_stay_near_the_float_network(estimator: str) -> None:
    graph = float_graph(trained_statistics(TinyResNet()), EXAMPLE)
    quantized = calibrate(graph, [images(4, seed).numpy() for seed in range(4)], estimator=estimator)  # type: ignore[arg-type]
    x = images(16, seed=7).numpy()
    (expected,) = FloatRun(graph).run([x])
    given, output = (quantized.tensors[name].quantization for name in (quantized.inputs[0], quantized.outputs[0]))
    assert given is not None and output is not None
    raw = np.clip(np.rint(x / given.scale[0]) + given.zero_point[0], -128, 127).astype(np.int8)
    (result,) = IntegerSimulation(quantized).run([raw])
    real = (result.astype(float) - output.zero_point[0]) * output.scale[0]
    assert np.square(real - expected).mean() < 0.01 * np.square(expected).mean()


def test_tied_tensors_get_the_same_parameters() -> None:
    quantized = calibrate(float_graph(Branches(), EXAMPLE), [images(4).numpy()])
    tied = [operator for operator in quantized.operators if operator.kind in TIED]
    assert {operator.kind for operator in tied} == {"AveragePool", "Resize", "Concat", "Slice"}
    for operator in tied:
        first = quantized.tensors[operator.outputs[0]].quantization
        assert first is not None
        assert all(first.same_as(quantized.tensors[name].quantization) for name in operator.inputs)


def test_the_order_does_not_matter_and_a_generator_will_do() -> None:
    graph = float_graph(TinyResNet().eval(), EXAMPLE)
    every = images(6).numpy()
    one = calibrate(graph, [every[index : index + 2] for index in (0, 2, 4)])
    other = calibrate(graph, (every[index : index + 2] for index in (4, 0, 2)))
    for name, tensor in one.tensors.items():
        assert tensor.quantization is not None
        assert tensor.quantization.same_as(other.tensors[name].quantization)


def test_rectifiers_of_a_foreign_graph_are_fused() -> None:
    names = [("x", (1, 2, 4, 4)), ("c", (1, 2, 4, 4)), ("y", (1, 2, 4, 4))]
    tensors = {name: Tensor(name=name, shape=shape, dtype="float32") for name, shape in names}
    weight = np.ones((2, 2, 1, 1), np.float32)
    tensors["w"] = Tensor(name="w", shape=weight.shape, dtype="float32", data=weight)
    attributes = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1, "activation": "none"}
    graph = Graph(
        name="foreign",
        layout="nchw",
        operators=(
            Operator(kind="Conv", name="conv", inputs=("x", "w", ""), outputs=("c",), attributes=attributes),
            Operator(kind="Relu6", name="clip", inputs=("c",), outputs=("y",)),
        ),
        tensors=tensors,
        inputs=("x",),
        outputs=("y",),
    )
    quantized = calibrate(graph, [np.full((1, 2, 4, 4), 9.0, np.float32)])
    (operator,) = quantized.operators
    parameters = quantized.tensors["y"].quantization
    assert operator.attributes["activation"] == "relu6" and parameters is not None
    assert int(parameters.zero_point[0]) == -128
    assert parameters.scale[0] == np.float32(6) / np.float32(255)
    assert quantized.tensors[operator.inputs[2]].dtype == "int32"  # zeros where there was no bias


def test_the_range_of_the_input_can_be_given() -> None:
    graph = float_graph(TinyResNet().eval(), EXAMPLE)
    quantized = calibrate(graph, [images(1).numpy()], input_range=(-2.0, 2.0))
    quantization = quantized.tensors[quantized.inputs[0]].quantization
    assert quantization is not None and quantization.scale[0] == np.float32(4.0) / np.float32(255)


def test_what_cannot_be_calibrated_is_refused() -> None:
    graph = float_graph(TinyResNet().eval(), EXAMPLE)
    with pytest.raises(UsageError, match="no calibration images"):
        calibrate(graph, [])
    with pytest.raises(UsageError, match="unknown estimator 'mean'"):
        calibrate(graph, [], estimator="mean")  # type: ignore[arg-type]
    with pytest.raises(EdgeError, match="'x' holds values that are not finite"):
        calibrate(graph, [np.full((1, 3, *SIZE_HW), np.nan, np.float32)])
    with pytest.raises(EdgeError, match="float64; float32 is needed"):
        calibrate(graph, [np.zeros((1, 3, *SIZE_HW))])  # type: ignore[list-item]
    with pytest.raises(UnsupportedError, match="quantized already"):
        calibrate(calibrate(graph, [images(1).numpy()]), [images(1).numpy()])


def test_a_weight_that_is_not_finite_names_its_layer() -> None:
    model = TinyResNet().eval()
    model.fc.bias.data[0] = float("inf")
    with pytest.raises(EdgeError, match="'fc'"):
        calibrate(float_graph(model, EXAMPLE), [images(1).numpy()])
