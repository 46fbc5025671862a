"""A probe takes the place of a classifier only where there is something to fit it to."""

import pytest
import torch

from edge.data.generated import generated_split
from edge.errors import EdgeError
from edge.models.registry import build
from edge.training.probe_head import start_from_probe
from edge.vision.preprocess import Preprocess


def test_features_that_are_not_finite_are_refused() -> None:
    preprocess = Preprocess(
        colour_order="rgb",
        height=32,
        width=32,
        interpolation="bilinear",
        fit="stretch",
        mean=(127.5,) * 3,
        std=(127.5,) * 3,
        crop_fraction=1.0,
    )
    split = generated_split("classify", "train", 4)
    model = build("mobilenet_v2", classes=8, width=0.25, resolution=32)
    norm = next(module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d))
    torch.nn.init.constant_(norm.bias, float("nan"))
    with pytest.raises(EdgeError, match="features are not finite"):
        start_from_probe(model, split, preprocess, 0, mirrored=False)
