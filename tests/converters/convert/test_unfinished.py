"""A run of steps that was interrupted goes on where it stopped, to the bits of one that was not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from converters.convert.unfinished import Unfinished
from edge.artifact.scheme import Granularity, Scheme
from edge.errors import CheckpointError
from edge.quantization.ptq.improve import Improved, Reached, Shelf, improve
from edge.quantization.ptq.judge import Score
from edge.quantization.ptq.state import State
from edge.quantization.ptq.steps import QUICK, STEPS
from tests.support.ptq_network import SmoothImages, uneven_graph

pytestmark = pytest.mark.unhurried  # networks are quantized


class Stopped(Exception):
    """The run was interrupted."""


class Stopping:
    """A shelf that ends the run after so many steps."""

    def __init__(self, kept: Shelf, after: int) -> None:
        self._kept, self._after = kept, after
        self.restore = kept.restore

    def keep(self, reached: Reached) -> None:
        self._kept.keep(reached)
        if len(reached.outcomes) == self._after:
            raise Stopped


def made(shelf: Shelf | None, steps: tuple[str, ...], granularity: Granularity = "per_channel") -> Improved:
    torch.set_num_threads(1)
    return improve(
        uneven_graph(), SmoothImages(20), steps=steps, multiply_adds=1e7, epochs=2, decides=True,
        scheme=Scheme(weight_granularity=granularity), input_range=(-1.0, 1.0), seed=3, shelf=shelf,
    )  # fmt: skip


def held_alike(found: Improved, wanted: Improved) -> None:
    """Every integer and every line of the table; but for seconds."""
    assert [replace(one, seconds=0) for one in found.outcomes] == [replace(one, seconds=0) for one in wanted.outcomes]
    assert (found.plain, found.total, found.activations) == (wanted.plain, wanted.total, wanted.activations)
    one, other = found.state.quantized, wanted.state.quantized
    assert repr(one.operators) == repr(other.operators)
    for name, tensor in one.tensors.items():
        assert tensor.quantization is other.tensors[name].quantization is None or (
            tensor.quantization is not None and tensor.quantization.same_as(other.tensors[name].quantization)
        )
        assert tensor.data is other.tensors[name].data is None or np.array_equal(tensor.data, other.tensors[name].data)


@pytest.mark.parametrize("granularity", ["per_channel", "per_tensor"])
def test_a_run_goes_on_after_any_step(
    tmp_path: Path, granularity: Granularity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run is stopped after one step more, until none is left."""
    monkeypatch.setattr("edge.quantization.ptq.improve.LEAST_GAIN_DB", -1e9)  # what a step makes is kept
    steps = tuple(name for name in STEPS if name != "adaround")
    wanted = made(None, steps, granularity)
    shelf = Unfinished(path=tmp_path / "a.unfinished", images_sha256="of them", options={"seed": 3}, resume=False)
    for after in range(1, len(steps) + 1):
        with pytest.raises(Stopped):
            made(Stopping(shelf, after), steps, granularity)
        shelf = replace(shelf, resume=True)
    held_alike(made(shelf, steps, granularity), wanted)


def test_what_another_run_left_is_refused(tmp_path: Path) -> None:
    steps = ("equalize", "bias")
    path = tmp_path / "none" / "yet" / "a.unfinished"
    shelf = Unfinished(path=path, images_sha256="of them", options={"seed": 3}, resume=False)
    with pytest.raises(Stopped):
        made(Stopping(shelf, 1), steps)
    for other in ({"images_sha256": "of others"}, {"options": {"seed": 4}}, {"run": "others"}):
        with pytest.raises(CheckpointError, match="other images"):
            made(replace(shelf, resume=True, **other), steps)
    whole = shelf.path.read_bytes()
    shelf.path.write_bytes(whole[:-9] + bytes(9))
    with pytest.raises(CheckpointError, match="damaged"):
        made(replace(shelf, resume=True), steps)
    shelf.path.unlink()
    with pytest.raises(CheckpointError, match="nothing to resume"):
        made(replace(shelf, resume=True), steps)


def test_steps_of_seconds_leave_nothing(tmp_path: Path) -> None:
    shelf = Unfinished(path=tmp_path / "a.unfinished", images_sha256="of them", options={}, resume=False)
    made(shelf, tuple(name for name in STEPS if name in QUICK))
    assert not shelf.path.exists()


def test_rectifiers_that_a_step_gave_up_stay_given_up(tmp_path: Path) -> None:
    """The form of cross-layer equalization that turns every ReLU6 into a ReLU."""
    graph = uneven_graph()
    operators = tuple(
        replace(one, attributes={**one.attributes, "activation": "relu"})
        if one.attributes.get("activation") == "relu6"
        else one
        for one in graph.operators
    )
    opened = replace(graph, operators=operators)
    state = State(real=graph, graph=graph, parameters={"x": (np.float32(0.5), 3)}, scheme=Scheme())
    score = Score(sqnr_db=3.0, agreement=None)
    shelf = Unfinished(path=tmp_path / "a.unfinished", images_sha256="of them", options={}, resume=True)
    shelf.keep(Reached(given=graph, state=replace(state, real=opened, graph=opened), plain=score, outcomes=()))
    found = shelf.restore(graph, state)
    assert found is not None and found.state.parameters == state.parameters
    for restored in (found.state.real, found.state.graph):
        assert repr(restored.operators) == repr(operators) != repr(graph.operators)
