"""What windows read beyond their maps: pads of their own, and of a Pad before them."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.graph.analyses.borders import borders
from edge.graph.graph import Graph
from edge.models.blocks import SamePadConv2d
from edge.quantization.qat.freeze import float_graph


class PaddedBefore(nn.Module):
    """Keras' way to SAME at stride 2: an explicit Pad, and a convolution that pads nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.pad(x, (0, 1, 0, 1)))


def graph_of(module: nn.Module, side: int = 16) -> Graph:
    torch.manual_seed(0)
    return float_graph(module.eval(), torch.zeros(1, 3, side, side))


def test_the_two_conventions_differ_at_stride_2_on_an_even_size() -> None:
    (same,) = borders(graph_of(nn.Sequential(SamePadConv2d(3, 4, 3, stride=2))))
    (symmetric,) = borders(graph_of(nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1))))
    assert (same.convention, same.pads, same.other) == ("same", (0, 0, 1, 1), (1, 1, 1, 1))
    assert (symmetric.convention, symmetric.pads, symmetric.other) == ("symmetric", (1, 1, 1, 1), (0, 0, 1, 1))


def test_on_an_odd_size_and_at_stride_1_they_are_one() -> None:
    (odd,) = borders(graph_of(nn.Sequential(SamePadConv2d(3, 4, 3, stride=2)), side=17))
    (dense,) = borders(graph_of(nn.Sequential(SamePadConv2d(3, 4, 3))))
    assert [(one.convention, one.other) for one in (odd, dense)] == [("either", None)] * 2


def test_windows_side_by_side_pad_nothing_by_either() -> None:
    """Patches and pools: nobody pads them in PyTorch, and the SAME rule does not where they fit."""
    for module in (nn.Conv2d(3, 4, 4, stride=4), nn.MaxPool2d(2), nn.AvgPool2d(4)):
        (found,) = borders(graph_of(nn.Sequential(module)))
        assert (found.convention, found.other) == ("either", None)


def test_a_pad_before_a_window_is_part_of_its_border() -> None:
    graph = graph_of(PaddedBefore())
    pad = next(operator for operator in graph.operators if operator.kind == "Pad")
    other = replace(pad, attributes={**pad.attributes, "value": 3.0})
    (zero,) = borders(graph)
    (three,) = borders(replace(graph, operators=tuple(other if one is pad else one for one in graph.operators)))
    assert (zero.convention, zero.pads, zero.value, zero.input_hw) == ("same", (0, 0, 1, 1), 0.0, (16, 16))
    assert three.value == 3.0
