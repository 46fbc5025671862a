"""The average follows its recurrence."""

import pytest
import torch
from torch import nn

from edge.training.average import Average


def test_early_updates_weigh_more() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 0.0)
    average = Average(model, 0.9)
    expected = 0.0
    for update in range(1, 200):
        nn.init.constant_(model.weight, float(update))
        average.update(model)
        keep = min(0.9, update / (update + 9))
        expected = keep * expected + (1 - keep) * update
        assert average.tensors["weight"].item() == pytest.approx(expected, rel=1e-5)


def test_whole_numbers_are_copied_and_the_model_is_left_alone() -> None:
    model = nn.BatchNorm1d(2)
    average = Average(model, 0.9)
    model(torch.randn(8, 2))
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    average.update(model)
    assert average.tensors["num_batches_tracked"].item() == 1
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())


def test_a_restored_average_goes_on_alike() -> None:
    model = nn.Linear(2, 2)
    first = Average(model, 0.9)
    nn.init.ones_(model.weight)
    first.update(model)
    second = Average(nn.Linear(2, 2), 0.9)
    second.restore(first.tensors, first.updates)
    first.update(model)
    second.update(model)
    assert all(torch.equal(first.tensors[name], second.tensors[name]) for name in first.tensors)
