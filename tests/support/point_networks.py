"""A small segmenter with a point head, as a checkpoint whose layers seem to have seen data."""

from pathlib import Path

import torch
from torch import nn

from edge.artifact.model_file import Labels
from edge.models.point_head import point_head_of
from edge.recipe.recipe import Recipe
from edge.recipe.recipe_file import parse_recipe
from edge.training.checkpoint import Checkpoint, write_checkpoint
from tests.support.networks import with_statistics

NAMES = ("sky", "road", "car")
SIZE_HW = (64, 96)


def point_recipe(steps: int = 2, name: str = "fast_scnn") -> Recipe:
    """Two steps of 64 points on a map of 8x12 positions."""
    half = [127.5, 127.5, 127.5]
    height, width = SIZE_HW
    model = {"name": name, "classes": len(NAMES), "resolution_hw": [height, width]}
    return parse_recipe(
        {
            "name": "street",
            "model": {**model, "point_head": 8, "points": 64, "point_steps": steps},
            "data": {"train": "generated:segment:train", "val": "generated:segment:val"},
            "preprocess": {
                "colour_order": "rgb",
                "height": height,
                "width": width,
                "interpolation": "bilinear",
                "fit": "stretch",
                "crop_fraction": 1.0,
                "mean": half,
                "std": half,
            },
            "train": {"epochs": 0, "batch_size": 2, "learning_rate": 0.1},
        },
        "tests",
    )


def point_checkpoint(path: Path, recipe: Recipe | None = None) -> Path:
    """Write a float checkpoint whose head answers otherwise than the coarse map."""
    recipe = recipe or point_recipe()
    model = with_statistics(recipe)
    head = point_head_of(model)
    assert head is not None
    torch.manual_seed(1)
    nn.init.normal_(head.logits.weight, std=0.5)
    labels = Labels(names=NAMES)
    write_checkpoint(
        path, Checkpoint(kind="float", recipe=recipe, tensors=model.state_dict(), labels=labels, metrics={})
    )
    return path
