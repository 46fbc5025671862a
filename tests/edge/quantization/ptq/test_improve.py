"""Steps are tried, judged on images they have not seen, and kept where they help."""

import math
from collections.abc import Sequence
from dataclasses import replace

import click
import numpy as np
import numpy.typing as npt
import pytest
import torch

from edge.artifact.scheme import INT8_SCHEME, WEIGHT_MAX, Scheme
from edge.cli.quantize import command
from edge.errors import DataError, UsageError
from edge.execution.float_run import FloatRun
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from edge.quantization.ptq.distil import distilled
from edge.quantization.ptq.improve import Improved, improve
from edge.quantization.ptq.judge import Judge, Score
from edge.quantization.ptq.layer_rows import layer_by_layer, layers_of, most_images
from edge.quantization.ptq.rounded import RoundedNetwork
from edge.quantization.ptq.state import State
from edge.quantization.ptq.steps import EFFORTS, FOR_ONE_SCALE, STEPS, effort_for
from edge.quantization.ptq.weights import by_least_squares, corrected_bias
from tests.support.ptq_network import SmoothImages, uneven_graph


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def improved(steps: tuple[str, ...], images: SmoothImages | None = None, scheme: Scheme = INT8_SCHEME) -> Improved:
    return improve(
        uneven_graph(), images or SmoothImages(30), steps=steps, multiply_adds=1e8, epochs=20, decides=True,
        scheme=scheme,
        input_range=(-1.0, 1.0), seed=3,
    )  # fmt: skip


def nearest() -> State:
    return improved(()).state


def sqnr_db(state: State, images: SmoothImages) -> float:
    return Judge(uneven_graph(), images, decides=True).total(state).sqnr_db


def integers(graph: Graph) -> dict[str, bytes]:
    return {name: tensor.data.tobytes() for name, tensor in graph.tensors.items() if tensor.data is not None}


def test_every_step_together_comes_nearer_on_other_images() -> None:
    made = improved(tuple(STEPS))
    others = SmoothImages(40, seed=9)
    assert [outcome.step for outcome in made.outcomes] == list(STEPS)
    assert [outcome.step for outcome in made.outcomes if outcome.refused is not None] == ["copies"]  # none is dead
    assert made.total.sqnr_db > made.plain.sqnr_db + 3
    assert sqnr_db(made.state, others) > sqnr_db(nearest(), others) + 3


def test_the_command_names_every_step() -> None:
    told = next(option for option in command.params if option.name == "steps")
    assert isinstance(told, click.Option) and told.help is not None
    assert told.help.removesuffix(".").rpartition(" ")[2].split(",") == list(STEPS)


def test_a_step_that_does_not_help_is_not_kept() -> None:
    made = improved(("least_squares", "bias"))  # in the table's order
    assert [outcome.step for outcome in made.outcomes] == ["bias", "least_squares"]
    again = improve(
        uneven_graph(),
        SmoothImages(30),
        steps=("bias",),
        multiply_adds=0,
        epochs=0,
        decides=True,
        input_range=(-1.0, 1.0),
        seed=3,
    )
    for outcome in (*made.outcomes, *again.outcomes):
        assert outcome.before is not None and outcome.after is not None
        assert outcome.kept == (outcome.after.sqnr_db > outcome.before.sqnr_db + 0.02)


def test_no_step_sees_the_images_it_is_judged_on(monkeypatch: pytest.MonkeyPatch) -> None:
    images = SmoothImages(30)
    judged: set[int] = set()

    def total(judge: Judge, state: State) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Judge, "__init__", lambda judge, graph, held, *, decides: judged.update(held.indices))
    monkeypatch.setattr(Judge, "total", total)
    with pytest.raises(KeyboardInterrupt):
        improved(("bias",), images)
    assert judged == set(range(0, 30, 5)) and not judged & set(images.asked)


def test_the_same_seed_gives_the_same_integers() -> None:
    assert integers(improved(tuple(STEPS)).state.quantized) == integers(improved(tuple(STEPS)).state.quantized)


def test_steps_work_on_16_bit_activations() -> None:
    made = improved(("bias", "least_squares"), scheme=Scheme(activation_bits=16))
    assert made.total.sqnr_db >= made.plain.sqnr_db
    assert made.state.quantized.tensors[made.state.quantized.outputs[0]].dtype == "int16"


@pytest.mark.parametrize(
    ("count", "steps", "message"),
    [(9, ("bias",), "9 calibration images: steps need at least 10"), (20, ("bais",), "did you mean 'bias'")],
)
def test_a_mistake_is_named(count: int, steps: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        improved(steps, SmoothImages(count))


def test_the_judge_counts_what_the_integers_answer() -> None:
    state, images = nearest(), SmoothImages(20)
    graph = state.quantized
    wanted = FloatRun(uneven_graph()).run([images.pixels])[0]
    given = graph.tensors[graph.inputs[0]].quantization
    told = graph.tensors[graph.outputs[0]].quantization
    assert given is not None and told is not None
    raw = np.clip(np.rint(images.pixels / given.scale[0]) + given.zero_point[0], -128, 127).astype(np.int8)
    found = (IntegerSimulation(graph).run([raw])[0].astype(np.float32) - told.zero_point[0]) * told.scale[0]
    score = Judge(uneven_graph(), images, decides=True).total(state)
    noise = float(np.square(wanted - found).sum() / np.square(wanted).sum())
    assert score.sqnr_db == pytest.approx(-10 * math.log10(noise), abs=1e-3)
    assert score.agreement == float((wanted.argmax(1) == found.argmax(1)).mean())


def test_the_rounded_network_is_the_integers_but_for_its_sums() -> None:
    state, images = nearest(), SmoothImages(6)
    graph = state.quantized
    told = graph.tensors[graph.outputs[0]].quantization
    given = graph.tensors[graph.inputs[0]].quantization
    assert told is not None and given is not None
    raw = np.clip(np.rint(images.pixels / given.scale[0]) + given.zero_point[0], -128, 127).astype(np.int8)
    exact = (IntegerSimulation(graph).run([raw])[0].astype(np.float32) - told.zero_point[0]) * told.scale[0]
    with torch.no_grad():
        (found,) = RoundedNetwork(state).outputs(torch.from_numpy(images.pixels))
    assert np.abs(found.numpy() - exact).max() <= 2.001 * told.scale[0]


@pytest.mark.parametrize("choose", [by_least_squares, corrected_bias])
def test_chosen_weights_lie_on_the_grid_that_rounding_gives_back(choose: object) -> None:
    state = layer_by_layer(nearest(), SmoothImages(20), choose, seed=0, advance=lambda done, of: None)  # type: ignore[arg-type]
    for layer in layers_of(state.real):
        quantized = state.quantized.tensors[layer.inputs[1]]
        assert quantized.data is not None and quantized.quantization is not None
        assert np.abs(quantized.data).reshape(len(quantized.data), -1).max(axis=1).tolist() == [WEIGHT_MAX] * len(
            quantized.data
        )
        if choose is by_least_squares:
            scale = quantized.quantization.scale.reshape(-1, *(1,) * (quantized.data.ndim - 1))
            np.testing.assert_allclose(state.graph.constant(layer.inputs[1]), quantized.data * scale, rtol=1e-5, atol=0)


def test_training_keeps_the_grids_and_lowers_the_error() -> None:
    images = SmoothImages(24)
    before = layer_by_layer(nearest(), images, by_least_squares, seed=0, advance=lambda done, of: None)
    told: list[tuple[int, int]] = []
    after = distilled(
        before,
        uneven_graph(),
        images,
        epochs=30,
        decides=True,
        seed=0,
        advance=lambda done, of: told.append((done, of)),
    )
    assert told[-1] == (90, 90)
    assert sqnr_db(after, images) > sqnr_db(before, images)
    for layer in layers_of(before.real):
        one, other = (state.quantized.tensors[layer.inputs[1]].quantization for state in (before, after))
        assert one is not None and other is not None
        np.testing.assert_allclose(one.scale, other.scale, rtol=1e-6)


def test_memory_does_not_grow_with_the_images() -> None:
    graph = uneven_graph()
    large = [replace(tensor, shape=(1, 8, 4096, 4096)) for tensor in graph.tensors.values() if len(tensor.shape) == 4
             and tensor.data is None]  # fmt: skip
    assert most_images(graph, 100) == 100
    assert most_images(graph.with_tensors(large), 100) == 1


def test_what_was_found_of_ranges_is_kept_when_they_are_observed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    scored = Judge.activations

    def octav_is_best(judge: Judge, state: State, every: int = 1) -> Score:
        return replace(scored(judge, state, every=every), sqnr_db=100.0 if state.estimator == "octav" else 1.0)

    monkeypatch.setattr(Judge, "activations", octav_is_best)
    monkeypatch.setattr("edge.quantization.ptq.improve.LEAST_GAIN_DB", -1.0)
    state = improved(("ranges", "equalize")).state
    assert state.real is not uneven_graph() and state.estimator == "octav"
    work_again = improve(
        state.real, SmoothImages(30), steps=(), multiply_adds=0, epochs=0, decides=True, estimator="octav",
        input_range=(-1.0, 1.0), seed=3,
    )  # fmt: skip
    for name, (scale, zero_point) in work_again.state.parameters.items():
        assert state.parameters[name] == (pytest.approx(scale, rel=1e-3), pytest.approx(zero_point, abs=1)), name


class Damaged(SmoothImages):
    """Images of which one cannot be read any more once the judge has seen its own."""

    def batch(self, indices: Sequence[int]) -> npt.NDArray[np.float32]:
        if len(self.asked) > 60:
            raise DataError("7.png", "cannot be read")
        return super().batch(indices)


def test_an_image_that_cannot_be_read_is_no_step_that_does_not_help() -> None:
    with pytest.raises(DataError, match="cannot be read"):
        improved(tuple(STEPS), Damaged(30))


def test_every_effort_with_steps_evens_out_weights_of_one_scale() -> None:
    for name, effort in EFFORTS.items():
        found = effort_for(name, Scheme(weight_granularity="per_tensor"))
        assert effort_for(name, INT8_SCHEME) == effort
        assert found.steps == tuple(
            step for step in STEPS if step in effort.steps or (effort.steps and step in FOR_ONE_SCALE)
        )
