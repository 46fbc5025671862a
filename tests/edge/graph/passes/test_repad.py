"""Other padding and other sizes of a network: what stays the same, and what a border without zeros cannot tell."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.errors import UnsupportedError
from edge.execution.float_run import FloatRun
from edge.execution.integer import IntegerSimulation
from edge.explain.feature_maps import backbone
from edge.graph.analyses.borders import borders
from edge.graph.graph import Graph
from edge.graph.passes.repad import repadded, with_pads
from edge.models.blocks import SamePadConv2d
from edge.models.registry import build
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph
from tests.edge.graph.analyses.test_borders import PaddedBefore, graph_of
from tests.support.quantization_networks import trained_statistics


class Shortcut(nn.Module):
    """Two convolutions and the map between them added to the second's."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = SamePadConv2d(3, 4, 3, stride=2), SamePadConv2d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return x + self.second(x)


def small(side: int = 64) -> Graph:
    torch.manual_seed(0)
    model = trained_statistics(build("mobilenet_v2", classes=3, width=0.35, resolution=side))
    return float_graph(model, torch.zeros(1, 3, side, side))


def values(graph: Graph, image: np.ndarray) -> list[np.ndarray]:
    return FloatRun(graph).run([image])


def test_a_network_with_its_own_padding_is_itself() -> None:
    graph = backbone(small())
    image = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    for mine, same in zip(values(graph, image), values(repadded(graph, "own"), image), strict=True):
        np.testing.assert_array_equal(mine, same)


def test_at_another_size_it_is_the_network_of_that_size() -> None:
    resized, built = repadded(backbone(small()), "own", (96, 96)), backbone(small(96))
    image = np.random.default_rng(0).normal(size=(1, 3, 96, 96)).astype(np.float32)
    for mine, same in zip(values(resized, image), values(built, image), strict=True):
        np.testing.assert_allclose(mine, same, atol=1e-5)


@pytest.mark.parametrize("padding", ["own", "reflect", "none"])
def test_reflected_and_unpadded_maps_are_torchs(padding: str) -> None:
    torch.manual_seed(0)
    model = Shortcut().eval()
    image = torch.randn(1, 3, 16, 16)
    graph = repadded(float_graph(model, image), padding)  # type: ignore[arg-type]  # one of three
    mode = {"own": "constant", "reflect": "reflect"}.get(padding)

    def padded(x: Tensor, sides: tuple[int, ...]) -> Tensor:
        return x if mode is None else functional.pad(x, sides, mode=mode)

    with torch.no_grad():
        first = functional.conv2d(padded(image, (0, 1, 0, 1)), model.first.weight, model.first.bias, 2)
        second = functional.conv2d(padded(first, (1, 1, 1, 1)), model.second.weight, model.second.bias)
        expected = second + (first if mode else first[:, :, 1:-1, 1:-1])
    (found,) = values(graph, image.numpy())
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("integer", [False, True])
def test_without_zeros_around_them_maps_of_a_plain_image_are_plain(integer: bool) -> None:
    """What is the same everywhere stays so, unless a border adds to it."""
    graph = backbone(small(128))
    plain = np.full((1, 3, 128, 128), 0.5, np.float32)
    if integer:
        graph = backbone(calibrate(small(128), [np.random.default_rng(0).normal(size=plain.shape).astype(np.float32)]))
        plain = np.full(plain.shape, 150, np.uint8).astype(graph.tensors[graph.inputs[0]].dtype)
    spread = {}
    for padding in ("own", "reflect"):
        made = repadded(graph, padding)
        maps = (IntegerSimulation(made) if integer else FloatRun(made)).run([plain])
        spread[padding] = max(float(np.ptp(one.astype(np.float64), axis=(2, 3)).max()) for one in maps)
    assert spread["own"] > 0.05 and spread["reflect"] < (1e-9 if integer else 1e-4)


def test_pads_that_a_pad_added_can_be_changed() -> None:
    graph = graph_of(PaddedBefore())
    (border,) = borders(graph)
    changed = with_pads(graph, {border.operator.name: (1, 1, 1, 1)})
    assert [operator.kind for operator in changed.operators] == ["Conv"]
    (now,) = borders(changed)
    assert now.pads == (1, 1, 1, 1) and now.convention == "symmetric"
    back = with_pads(changed, {now.operator.name: (0, 0, 1, 1)})
    image = np.random.default_rng(0).normal(size=(1, 3, 16, 16)).astype(np.float32)
    np.testing.assert_allclose(values(back, image)[0], values(graph, image)[0], atol=1e-6)


def test_what_has_no_backbone_or_too_small_images_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"Reshape '.*': its size does not follow"):
        repadded(small(), "own")
    with pytest.raises(UnsupportedError, match="smaller than its window; take larger images"):
        repadded(backbone(small()), "none")
    with pytest.raises(UnsupportedError, match="a map of 1x1 has too few positions to be mirrored"):
        repadded(backbone(small(32)), "reflect")
