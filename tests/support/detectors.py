"""Small detectors as checkpoints: their layers seem to have seen data, so that boxes are found everywhere."""

from pathlib import Path

import torch
from torch import nn

from edge.artifact.model_file import Labels
from edge.models.ssdlite import SsdLite
from edge.recipe.recipe import Recipe
from edge.recipe.recipe_file import parse_recipe
from edge.training.checkpoint import Checkpoint, write_checkpoint
from tests.support.networks import with_statistics

NAMES = ("car", "person", "sign")
SIDE = 96


def detector_recipe(side: int = SIDE, classes: int = len(NAMES)) -> Recipe:
    """SSDLite on a thin MobileNetV2."""
    half = [127.5, 127.5, 127.5]
    return parse_recipe(
        {
            "name": "street",
            "model": {"name": "mobilenet_v2_ssdlite", "classes": classes, "width": 0.25, "resolution": side},
            "data": {"train": "generated:detect:train", "val": "generated:detect:val"},
            "preprocess": {
                "colour_order": "rgb",
                "height": side,
                "width": side,
                "interpolation": "bilinear",
                "fit": "letterbox",
                "crop_fraction": 1.0,
                "mean": half,
                "std": half,
            },
            "train": {"epochs": 0, "batch_size": 2, "learning_rate": 0.1},
        },
        "tests",
    )


def detector_checkpoint(path: Path, names: tuple[str, ...] = NAMES) -> Path:
    """Write a float checkpoint of a detector that finds some boxes in every image."""
    recipe = detector_recipe(classes=len(names))
    model = with_statistics(recipe)
    assert isinstance(model, SsdLite)
    with torch.no_grad():
        for predictor in (*model.classifier.boxes, *model.classifier.scores):
            nn.init.normal_(predictor.predict.weight, std=0.02)
        for predictor in model.classifier.scores:
            nn.init.constant_(predictor.predict.bias, -2.0)
    write_checkpoint(
        path,
        Checkpoint(kind="float", recipe=recipe, tensors=model.state_dict(), labels=Labels(names=names), metrics={}),
    )
    return path
