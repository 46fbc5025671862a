"""The formulas of layers with other shapes are LiteRT's on telling inputs; the other readings are not."""

import numpy as np
import pytest
import torch

from edge.execution.integer import IntegerSimulation
from tests.benchmarks.exactness import SIMULATION, outcomes
from tests.benchmarks.shape_exactness import CASES, RANDOM
from tests.support.one_operator import litert_outputs, random_input

torch.set_num_threads(1)
MOVING = ("Gather", "DepthToSpace", "SpaceToDepth", "Tile", "ReflectPad", "Slice, backwards")


@pytest.mark.parametrize("name", list(CASES))
def test_only_the_simulations_reading_is_exact(name: str) -> None:
    """0 values differ by the simulation; every other reading is off somewhere, by 1 quantum."""
    for outcome in outcomes(CASES[name](np.random.default_rng(0))):
        assert (outcome.difference.differing == 0) == (outcome.reading == SIMULATION), outcome
        assert outcome.difference.largest <= 1


@pytest.mark.parametrize("kernels", ["builtin", "reference"])
@pytest.mark.parametrize("name", [*MOVING, "MatMul, zero point of b 5"])
def test_these_operators_are_the_same_in_every_kernel_set(name: str, kernels: str) -> None:
    """As docs/fidelity.md says of them."""
    random = np.random.default_rng(1)
    graph = RANDOM[name](random)
    values = [random_input(random, graph.tensors[tensor]) for tensor in graph.inputs]
    output, info = litert_outputs(graph, values, kernels)
    assert info.kernels == kernels
    assert np.array_equal(IntegerSimulation(graph).run(values)[0], output[0])
