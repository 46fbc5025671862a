"""Baselines: what says nothing, in an image's own units."""

import cv2
import numpy as np
import pytest
import torch

from edge.explain.baseline import BASELINES
from edge.explain.explain_image import Method, explain_image
from edge.explain.explained import Explained
from edge.explain.target import Target
from edge.vision.preprocess import Preprocess

PREPROCESS = Preprocess(
    colour_order="bgr",
    height=32,
    width=48,
    interpolation="bilinear",
    fit="stretch",
    crop_fraction=1.0,
    mean=(100.0, 110.0, 120.0),
    std=(50.0, 60.0, 70.0),
)
FRAME = np.random.default_rng(1).integers(0, 256, (32, 48, 3), dtype=np.uint8)


def test_there_are_three() -> None:
    assert list(BASELINES) == ["black", "mean", "blurred"]


def test_black_and_mean_are_one_colour() -> None:
    assert not BASELINES["black"](FRAME, PREPROCESS).any()
    assert (BASELINES["mean"](FRAME, PREPROCESS) == np.float32(PREPROCESS.mean)).all()


def test_blurred_keeps_an_even_image_and_flattens_an_edge_by_a_gaussian() -> None:
    """Its sigma is 10 pixels at a side of 224: across an edge the values are the normal distribution's."""
    even = np.full((224, 300, 3), 77, np.uint8)
    np.testing.assert_allclose(BASELINES["blurred"](even, PREPROCESS), 77, atol=1e-3)
    even[:, :150], even[:, 150:] = 0, 200
    across = BASELINES["blurred"](even, PREPROCESS)[100, :, 1]
    assert across[139] == pytest.approx(200 * 0.147, abs=2) and across[159] == pytest.approx(200 * 0.829, abs=2)


@pytest.mark.parametrize("name", BASELINES)
def test_the_path_starts_at_the_baseline_as_the_model_would_see_it(name: str) -> None:
    """Of a linear score the attributions are its weights times the difference of both normalized images."""
    weights = torch.linspace(-1, 1, 3 * 32 * 48).reshape(3, 32, 48)
    linear = Explained(
        name="linear",
        kind="float",
        task="classify",
        names=("a",),
        preprocess=PREPROCESS,
        probabilities=lambda images: (images * weights).sum(dim=(1, 2, 3))[:, None],
    )
    found = explain_image(linear, FRAME, Target(index=0), Method(baseline=name, most_steps=20))
    seen = FRAME[:, :, ::-1].astype(np.float32)
    black = {"black": 0 * seen, "mean": np.broadcast_to(np.float32([100, 110, 120]), seen.shape)}
    start = black[name] if name in black else cv2.GaussianBlur(seen, (0, 0), 32 * 10 / 224)
    expected = weights.numpy() * ((seen - start) / np.float32([50, 60, 70])).transpose(2, 0, 1)
    np.testing.assert_allclose(found.values, expected, atol=1e-4)
