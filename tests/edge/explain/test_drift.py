"""Whether two models look at the same places: ranks on windows."""

import numpy as np
import pytest
import torch
from torch import Tensor

from edge.explain.drift import Drift, drift, on_grid_of, rank_correlation, windows
from edge.explain.explain_image import Method
from edge.explain.explained import Explained
from edge.explain.integrated_gradients import Attribution
from edge.explain.target import Target
from edge.vision.preprocess import Preprocess

SIDE = 64
PREPROCESS = Preprocess(
    colour_order="rgb",
    height=SIDE,
    width=SIDE,
    interpolation="bilinear",
    fit="stretch",
    crop_fraction=1.0,
    mean=(127.5,) * 3,
    std=(127.5,) * 3,
)


def looking_at(weights: Tensor, name: str = "model") -> Explained:
    """A classifier of two classes that looks at the image through weights (h, w)."""

    def probabilities(images: Tensor) -> Tensor:
        yes = torch.sigmoid((images * weights).sum(dim=(1, 2, 3)) / 200)
        return torch.stack([1 - yes, yes], dim=1)

    return Explained(
        name=name,
        kind="float",
        task="classify",
        names=("no", "yes"),
        preprocess=PREPROCESS,
        probabilities=probabilities,
    )


def frame() -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (100, 80, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 40], 1.0),
        ([1, 2, 3, 4], [8, 3, 1, 0], -1.0),
        ([1, 2, 3, 4, 5], [2, 1, 4, 3, 5], 0.8),  # 1 - 6 * 4 / (5 * 24)
        ([1, 1, 2, 2], [1, 2, 1, 2], 0.0),
        ([1, 1, 2], [1, 1, 3], 1.0),
    ],
)
def test_spearmans_correlation_by_hand(first: list[float], second: list[float], expected: float) -> None:
    assert rank_correlation(np.array(first, float), np.array(second, float)) == pytest.approx(expected)


def test_without_an_order_there_is_no_correlation() -> None:
    assert np.isnan(rank_correlation(np.zeros(4), np.arange(4.0)))


def test_windows_sum_the_magnitudes_of_pixels_those_at_the_end_too() -> None:
    values = np.zeros((3, 20, 33))
    values[0, 0, 0], values[1, 0, 0], values[2, 17, 32] = 5, -7, 4
    found = windows(Attribution(values=values, score=0.0, baseline_score=0.0, steps=1))
    assert found.shape == (2, 3)
    np.testing.assert_array_equal(found, [[2, 0, 0], [0, 0, 4]])


def test_a_model_compared_with_itself_has_no_drift() -> None:
    model = looking_at(torch.rand(SIDE, SIDE))
    found = drift(model, model, frame(), Method())
    assert found.correlation == pytest.approx(1) and 0.99 < found.floor <= 1
    assert not found.elsewhere and found.decides_alike


def test_a_model_that_looks_at_the_other_half_is_found() -> None:
    left, right = torch.zeros(SIDE, SIDE), torch.zeros(SIDE, SIDE)
    left[:, :32], right[:, 32:] = 1, 1
    found = drift(looking_at(left), looking_at(right), frame(), Method(), "yes")
    assert found.correlation < -0.5 and found.elsewhere
    assert not drift(looking_at(left), looking_at(left * 1.01), frame(), Method(), "yes").elsewhere


def test_nothing_is_said_where_a_sum_is_far_off() -> None:
    target = Target(index=0)
    right = Attribution(values=np.ones((3, 32, 32)) / 3072, score=1.0, baseline_score=0.0, steps=8)
    for off, decided in ((0.2, True), (0.3, False)):
        other = Attribution(values=np.ones((3, 32, 32)) * (1 + off) / 3072, score=1.0, baseline_score=0.0, steps=8)
        found = Drift(target=target, reference=right, other=other, correlation=-1.0, floor=1.0, decides_alike=True)
        assert found.elsewhere is decided and found.undecided is not decided


def test_a_region_of_one_grid_is_found_on_another() -> None:
    cells = torch.zeros(4, 4, dtype=torch.bool)
    cells[1:3, 2] = True
    assert on_grid_of(Target(index=0, cells=cells), torch.zeros(5, 8, 8)).cells is not None
    finer = on_grid_of(Target(index=0, cells=cells), torch.zeros(5, 8, 8)).cells
    coarser = on_grid_of(Target(index=0, cells=cells), torch.zeros(5, 2, 2)).cells
    assert finer is not None and coarser is not None
    assert finer.sum() == 8 and finer[2:6, 4:6].all()
    np.testing.assert_array_equal(coarser, [[False, True], [False, True]])
