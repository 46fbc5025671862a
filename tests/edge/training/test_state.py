"""A resume state is held to its network, its optimizer and its types before it is used."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edge.errors import CheckpointError
from edge.training.state import Position, load_state, read_position, write_state
from edge.training.tensor_file import read_tensors, write_tensors

Change = Callable[[dict[str, Tensor], dict[str, Any]], object]


def network() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Linear(2, 3)
    return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    model, optimizer = network()
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    write_state(tmp_path / "s", Position(phase="float", epoch=1, recipe={}), model, optimizer, None)
    return tmp_path / "s"


def test_a_state_comes_back(state: Path) -> None:
    model, optimizer = network()
    assert load_state(state, model, optimizer, None) == Position(phase="float", epoch=1, recipe={})
    assert len(optimizer.state_dict()["state"]) == 2 and read_position(state).epoch == 1


def move(tensors: dict[str, Tensor], old: str, new: str) -> None:
    tensors[new] = tensors.pop(old)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda tensors, content: content["position"].update(epoch="x"), "epoch: Input should be a valid integer"),
        (lambda tensors, content: content["position"].update(epoch=-5), "epoch: Input should be greater than"),
        (lambda tensors, content: content["position"].update(history=5), "history: Input should be a valid array"),
        (lambda tensors, content: content["position"].update(history=[5]), "history.0: Input should be"),
        (lambda tensors, content: content["position"].update(threads=0), "threads: Input should be greater than"),
        (lambda tensors, content: content["position"].update(phase="ptq"), "phase: Input should be 'float' or 'qat'"),
        (lambda tensors, content: content["position"].update(more=1), "unknown key 'more'; known: batch"),
        (lambda tensors, content: content.pop("position"), "'position' is missing"),
        (lambda tensors, content: content.update(average_updates="x"), "Input should be a valid integer"),
        (lambda tensors, content: move(tensors, "model.weight", "model.w"), "1 missing, 1 unknown"),
        (lambda tensors, content: move(tensors, "optimizer.0.momentum_buffer", "optimizer.zz.step"), "optimizer.zz"),
        (lambda tensors, content: move(tensors, "optimizer.0.momentum_buffer", "optimizer.0.step"), "parameter 0"),
        (lambda tensors, content: move(tensors, "optimizer.0.momentum_buffer", "optimizer.9.x"), "another network"),
        (lambda tensors, content: move(tensors, "model.bias", "optimizer.0.momentum_buffer"), "1 missing"),
        (lambda tensors, content: tensors.update({"optimizer.0.momentum_buffer": torch.zeros(7)}), "parameter 0"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_in_one_line(change: Change, problem: str, state: Path) -> None:
    tensors, content, _ = read_tensors(state)
    change(tensors, content)
    write_tensors(state, tensors, content)
    with pytest.raises(CheckpointError, match=problem) as refused:
        load_state(state, *network(), None)
    assert "\n" not in str(refused.value)
