from dataclasses import replace

import pytest
import torch
from torch import nn

from edge.graph.graph import Graph, Operator, Tensor
from edge.quantization.qat.freeze import float_graph
from edge.quantization.ties import RangeGroup, range_groups
from tests.support.quantization_networks import SIZE_HW, Branches, TinyResNet

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


def joined(first: str, second: str, join: str = "Concat") -> Graph:
    """Two functions of an image and what joins them."""
    shape, twice = (1, 3, 4, 4), (1, 6, 4, 4)
    shapes = {"x": shape, "a": shape, "b": shape, "y": twice}
    operators = [
        Operator(kind=first, name="a", inputs=("x",), outputs=("a",), attributes={}),
        Operator(kind=second, name="b", inputs=("x",), outputs=("b",), attributes={}),
        Operator(kind=join, name="y", inputs=("a", "b"), outputs=("y",), attributes={"axis": 1}),
    ]
    tensors = {name: Tensor(name=name, shape=size, dtype="float32") for name, size in shapes.items()}
    return Graph(
        name="joined", layout="nchw", operators=tuple(operators), tensors=tensors, inputs=("x",), outputs=("y",)
    )


@pytest.mark.parametrize(
    ("first", "second", "fixed"),
    [("Sigmoid", "Sigmoid", (1 / 256, -128)), ("Sigmoid", "Tanh", None), ("Sigmoid", "Exp", None)],
)
def test_joined_tensors_keep_fixed_parameters_where_all_sources_demand_the_same(
    first: str, second: str, fixed: tuple[float, int] | None
) -> None:
    group = next(group for group in range_groups(joined(first, second)) if "y" in group.tensors)
    assert group.sources == ("a", "b") and group.fixed == fixed


@pytest.mark.parametrize(("value", "sources"), [(-1.0, ("a", "y")), (0.0, ("a",))])
def test_the_value_of_a_pad_belongs_to_the_range_of_what_it_pads(value: float, sources: tuple[str, ...]) -> None:
    pad = Operator(
        kind="Pad",
        name="y",
        inputs=("a",),
        outputs=("y",),
        attributes={"pads": ((0, 0), (0, 3), (0, 0), (0, 0)), "value": value},
    )
    graph = joined("Sigmoid", "Exp")
    graph = replace(graph, operators=(graph.operators[0], pad))
    group = next(group for group in range_groups(graph) if "y" in group.tensors)
    assert group.sources == sources
    assert (group.fixed is None) is (value < 0) and group.nonnegative is (value == 0)
