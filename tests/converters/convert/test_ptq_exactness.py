"""After every step of post-training quantization the integers of the file are those of the simulation."""

import numpy as np
import pytest
import torch

from converters.passes.layout.nhwc import to_nhwc
from edge.artifact.scheme import Granularity, Scheme
from edge.execution.integer import IntegerSimulation
from edge.quantization.ptq.improve import improve
from edge.quantization.ptq.steps import STEPS
from tests.support.one_operator import litert_outputs, random_input
from tests.support.ptq_network import SmoothImages, uneven_graph


@pytest.mark.parametrize("granularity", ["per_channel", "per_tensor"])
@pytest.mark.parametrize("steps", [(), *((name,) for name in STEPS), tuple(STEPS)], ids=lambda steps: ",".join(steps))
def test_no_value_differs(steps: tuple[str, ...], granularity: Granularity, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr("edge.quantization.ptq.improve.LEAST_GAIN_DB", -1e9)  # what a step makes is kept
    made = improve(
        uneven_graph(), SmoothImages(20), steps=steps, multiply_adds=1e7, epochs=2, decides=True,
        scheme=Scheme(weight_granularity=granularity), input_range=(-1.0, 1.0), seed=3,
    )  # fmt: skip
    assert all(outcome.kept for outcome in made.outcomes if outcome.refused is None)
    graph = made.state.quantized
    weights = [graph.tensors[entry.inputs[1]].quantization for entry in graph.operators if entry.kind == "Conv"]
    assert {found is not None and found.axis is None for found in weights} == {granularity == "per_tensor"}
    random, simulation, file = np.random.default_rng(0), IntegerSimulation(graph), to_nhwc(graph)
    for _ in range(4):
        raw = random_input(random, graph.tensors[graph.inputs[0]])
        (found,), _ = litert_outputs(file, [np.ascontiguousarray(raw.transpose(0, 2, 3, 1))])
        assert np.array_equal(found, simulation.run([raw])[0])
