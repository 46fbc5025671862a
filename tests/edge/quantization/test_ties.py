import pytest
import torch
from quantization_networks import SIZE_HW, Branches, TinyResNet
from torch import nn

from edge.quantization.freeze import float_graph
from edge.quantization.ties import RangeGroup, range_groups

EXAMPLE = torch.zeros(1, 3, *SIZE_HW)


def groups_of(model: nn.Module) -> dict[str, RangeGroup]:
    return {group.name: group for group in range_groups(float_graph(model, EXAMPLE))}


def test_pool_resize_concat_and_slice_tie_their_tensors() -> None:
    groups = groups_of(Branches())
    assert groups["a"].tensors == ("a", "avg_pool2d", "relu6", "interpolate", "cat")
    assert groups["c"].tensors == ("c", "getitem")
    assert groups["a"].sources == ("a", "relu6")
    assert not groups["a"].nonnegative and groups["a"].ceiling is None


def test_every_activation_is_in_exactly_one_group() -> None:
    graph = float_graph(TinyResNet(), EXAMPLE)
    members = [name for group in range_groups(graph) for name in group.tensors]
    made = [name for operator in graph.operators for name in operator.outputs]
    assert sorted(members) == sorted([*graph.inputs, *made])


def test_a_rectified_tensor_cannot_be_negative_nor_can_its_pool_and_mean() -> None:
    groups = groups_of(TinyResNet())
    assert groups["stem.2"].nonnegative and "pool" in groups["stem.2"].tensors
    assert groups["average"].nonnegative and "view" in groups["average"].tensors
    assert not groups["layer1.conv2"].nonnegative
    assert not groups["x"].nonnegative


@pytest.mark.parametrize(
    ("activation", "fixed"), [(nn.Sigmoid(), (1 / 256, -128)), (nn.Softmax(dim=1), (1 / 256, -128))]
)
def test_kernels_with_fixed_parameters_keep_them(activation: nn.Module, fixed: tuple[float, int]) -> None:
    graph = float_graph(nn.Sequential(nn.Conv2d(3, 2, 1), activation), EXAMPLE)
    groups = {group.name: group for group in range_groups(graph)}
    assert groups["1"].fixed == fixed


def test_a_class_map_has_no_parameters() -> None:
    class Decides(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.argmax(1)

    assert [group.tensors for group in range_groups(float_graph(Decides(), EXAMPLE))] == [("x",)]
