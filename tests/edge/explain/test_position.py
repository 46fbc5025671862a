"""The readout of position finds what maps hold of it, and nothing where they hold nothing."""

import numpy as np
import pytest
import torch

from edge.explain.feature_maps import backbone, feature_maps
from edge.explain.position_readout import conjugate_gradients, fit, score, stacked
from edge.explain.position_targets import SIDE, position_targets
from edge.models.registry import build
from edge.quantization.qat.freeze import float_graph

TARGETS = position_targets()


def test_targets_are_ramps_a_gaussian_and_stripes() -> None:
    assert all(target.shape == (SIDE, SIDE) and target.min() >= 0 and target.max() <= 1 for target in TARGETS.values())
    np.testing.assert_array_equal(TARGETS["horizontal"], TARGETS["vertical"].T)
    np.testing.assert_array_equal(TARGETS["horizontal stripes"], TARGETS["vertical stripes"].T)
    assert (np.diff(TARGETS["horizontal"], axis=1) > 0).all() and not np.diff(TARGETS["horizontal"], axis=0).any()
    middle = TARGETS["gaussian"][SIDE // 2 - 1 : SIDE // 2 + 1]
    assert middle.max() == TARGETS["gaussian"].max() > 0.98
    assert (np.diff(TARGETS["vertical stripes"][0]) < 0).sum() == 3  # four of them


def test_a_map_that_holds_the_position_is_read_and_noise_is_not() -> None:
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(12, 4, 2 * SIDE, 2 * SIDE, generator=draw)
    place = torch.linspace(0, 1, 2 * SIDE).expand(12, 1, 2 * SIDE, 2 * SIDE)
    found = {}
    for name, maps in {"place": [noise, place], "noise": [noise, noise]}.items():
        features = stacked(maps)
        readout = fit(features[:8], tuple(TARGETS.values()), ridge=1e-4, steps=40)
        found[name] = {
            target: score(readout.predict(features[8:])[:, index], TARGETS[target])
            for index, target in enumerate(TARGETS)
        }
    assert found["place"]["horizontal"].spearman > 0.99 and found["place"]["horizontal"].mae < 0.02
    assert abs(found["place"]["vertical"].spearman) < 0.15
    assert all(abs(one.spearman) < 0.15 and one.mae > 0.15 for one in found["noise"].values())


def test_conjugate_gradients_solve_every_row() -> None:
    draw = torch.Generator().manual_seed(0)
    half = torch.randn(6, 6, generator=draw)
    matrix, wanted = half @ half.T + torch.eye(6), torch.randn(3, 6, generator=draw)
    found = conjugate_gradients(lambda rows: rows @ matrix, wanted, steps=12)
    torch.testing.assert_close(found, torch.linalg.solve(matrix, wanted.T).T, atol=1e-4, rtol=1e-4)


def test_a_flat_prediction_has_no_order() -> None:
    flat = score(torch.full((2, SIDE - 2, SIDE - 2), 0.5), TARGETS["horizontal"])
    assert flat.spearman == 0 and flat.mae == pytest.approx(np.abs(TARGETS["horizontal"][1:-1, 1:-1] - 0.5).mean())


@pytest.mark.parametrize(
    ("name", "arguments", "sides"),
    [
        ("mobilenet_v2", {"width": 0.35, "resolution": 64}, [32, 16, 8, 4, 2]),
        ("mobilenet_v1", {"width": 0.25, "resolution": 64}, [32, 16, 8, 4, 2]),
        ("fast_scnn", {"resolution_hw": (64, 64)}, [32, 16, 8, 4, 2]),
        ("deeplab_mobilenet_v2", {"width": 0.35, "resolution_hw": (64, 64)}, [32, 16, 8, 4, 4]),
        ("mobilenet_v2", {"width": 0.35, "resolution": 64, "attention": "cbam"}, [32, 16, 8, 4, 2]),
    ],
)
def test_the_five_maps_are_the_last_of_each_resolution(
    name: str, arguments: dict[str, object], sides: list[int]
) -> None:
    model = build(name, classes=3, **arguments)
    graph = float_graph(model.eval(), torch.zeros(model.input_shape))
    shapes = [graph.tensors[tensor].shape for tensor in feature_maps(graph)]
    assert [shape[2] for shape in shapes] == sides == [shape[3] for shape in shapes]
    assert backbone(graph).outputs == feature_maps(graph)
