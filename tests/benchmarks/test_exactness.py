"""The readings benchmark: the simulation is exact on inputs chosen to tell readings apart, and the others are not."""

import numpy as np
import pytest
import torch

from tests.benchmarks.exactness import CASES, SIMULATION, outcomes

torch.set_num_threads(1)
# Readings that a case cannot tell from the simulation: x4 has weights that are multiples of 1 / 8.
ALSO_RIGHT = {("resize x4", "float weights, half up")}


@pytest.mark.parametrize("name", list(CASES))
def test_only_the_simulations_reading_is_exact(name: str) -> None:
    """0 values differ by the simulation; every other reading is off somewhere, by 1 quantum."""
    for outcome in outcomes(CASES[name](np.random.default_rng(0))):
        right = outcome.reading == SIMULATION or (name, outcome.reading) in ALSO_RIGHT
        assert (outcome.difference.differing == 0) == right, outcome
        assert outcome.difference.largest <= 1


def test_the_multiplier_in_double_is_off_in_every_channel() -> None:
    """2000 channels chosen where the two multipliers differ."""
    found = {outcome.reading: outcome.difference for outcome in outcomes(CASES["conv"](np.random.default_rng(0)))}
    assert found["multiplier in double, cast once"].differing == 2000
    assert found[SIMULATION].differing == 0
