"""A wide kernel over few channels, written with rows as channels, gives the integers of the convolution itself."""

import numpy as np
import pytest

from converters.tflite.banded_convolution import LARGEST_BAND
from converters.tflite.writer import tflite_bytes
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from edge.graph.importers.tflite.reader import read_tflite
from tests.support.one_operator import Parameters, activation, conv_graph, litert_outputs, random_input

# input size, channels read and written, kernel, pads (top, left, bottom, right), activation
CASES = {
    "a spatial gate": ((12, 9), 2, 1, (7, 7), (3, 3, 3, 3), "none"),
    "one row of a map": ((3, 3), 2, 1, (7, 7), (3, 3, 3, 3), "none"),
    "no pads": ((9, 8), 3, 2, (5, 5), (0, 0, 0, 0), "relu"),
    "uneven pads along the width": ((7, 11), 4, 3, (3, 5), (1, 0, 1, 3), "none"),
    "a single row": ((1, 20), 1, 4, (1, 7), (0, 3, 0, 3), "none"),
}
PLAIN = {
    "a narrow kernel": ((12, 12), 2, 1, (3, 3), (1, 1, 1, 1), "none"),
    "many channels": ((12, 12), 8, 1, (7, 7), (3, 3, 3, 3), "none"),
    "pads above that are not SAME": ((12, 12), 2, 1, (7, 7), (2, 3, 0, 3), "none"),
    "a wide map": ((8, 96), 2, 1, (7, 7), (3, 3, 3, 3), "none"),
}
Case = tuple[tuple[int, int], int, int, tuple[int, int], tuple[int, int, int, int], str]


def graph_of_case(case: Case, seed: int, *, per_channel: bool = True) -> Graph:
    (height, width), channels, outputs, kernel, pads, rectifier = case
    random = np.random.default_rng(seed)
    size = (height + pads[0] + pads[2] - kernel[0] + 1, width + pads[1] + pads[3] - kernel[1] + 1)
    zero_point = -128 if rectifier == "relu" else int(random.integers(-50, 50))
    source = activation("x", (1, height, width, channels), Parameters(scale=0.04, zero_point=-17))
    target = activation("y", (1, *size, outputs), Parameters(scale=0.3, zero_point=zero_point))
    weight = random.integers(-127, 128, (outputs, channels, *kernel))
    scales = random.uniform(0.005, 0.02, outputs if per_channel else 1).astype(np.float32)
    bias = random.integers(-3000, 3000, outputs)
    return conv_graph(source, target, weight, scales, bias, pads=pads, activation=rectifier)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("seed", range(3))
def test_no_value_differs(case: Case, seed: int) -> None:
    graph = graph_of_case(case, seed, per_channel=seed != 2)
    kinds = [operator.kind for operator in read_tflite(tflite_bytes(graph)).operators]
    assert kinds == ["Reshape", "Conv", "Reshape"]
    inputs = [random_input(np.random.default_rng(seed), graph.tensors["x"])]
    expected = IntegerSimulation(graph).run(inputs)[0]
    found = litert_outputs(graph, inputs)[0][0]
    assert len(np.unique(expected)) > 2
    np.testing.assert_array_equal(expected, found)


@pytest.mark.parametrize("case", PLAIN.values(), ids=PLAIN.keys())
def test_other_convolutions_stay_as_they_are(case: Case) -> None:
    operators = read_tflite(tflite_bytes(graph_of_case(case, 0))).operators
    assert "Reshape" not in {operator.kind for operator in operators}


def test_a_band_is_bounded() -> None:
    (_, width), channels, outputs, kernel, _, _ = PLAIN["a wide map"]
    assert width * outputs * kernel[0] * width * channels > LARGEST_BAND
