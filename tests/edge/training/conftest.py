"""Recipes so small that a test can train them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from edge.recipe.recipe import Recipe
from edge.recipe.recipe_file import parse_recipe

SIZE = 32


def classifier_tree() -> dict[str, Any]:
    """MobileNetV1 0.25 at 32x32 on 40 generated objects: 5 batches of 8, float and QAT."""
    phase = {"batch_size": 8, "learning_rate": 0.01, "optimizer": "sgd"}
    return {
        "name": "small",
        "model": {"name": "mobilenet_v1", "classes": 8, "width": 0.25, "resolution": SIZE, "dropout": 0.2},
        "data": {"train": "generated:classify:train:40", "val": "generated:classify:val:16"},
        "preprocess": {
            "colour_order": "rgb",
            "height": SIZE,
            "width": SIZE,
            "interpolation": "bilinear",
            "fit": "stretch",
            "crop_fraction": 1.0,
            "mean": [127.5, 127.5, 127.5],
            "std": [127.5, 127.5, 127.5],
        },
        "train": {**phase, "epochs": 2, "ema_decay": 0.9, "state_steps": 2},
        "qat": {**phase, "epochs": 2, "learning_rate": 0.001, "observe_batches": 2, "distillation_weight": 1.0},
    }


def segmenter_tree() -> dict[str, Any]:
    """Fast-SCNN at 64x64 on 8 generated scenes, both phases, with auxiliary heads."""
    tree = classifier_tree()
    tree["model"] = {"name": "fast_scnn", "classes": 8, "resolution_hw": [64, 64], "auxiliary": True}
    tree["data"] = {"train": "generated:segment:train:8", "val": "generated:segment:val:2"}
    tree["preprocess"] |= {"height": 64, "width": 64}
    tree["train"] |= {"batch_size": 4, "epochs": 1, "auxiliary_weight": 0.4, "class_weights": "sqrt_frequency"}
    tree["train"] |= {"crop_hw": [64, 96], "bf16": True, "loss_stride": 2}
    tree["qat"] |= {"batch_size": 4, "epochs": 1}
    return tree


def detector_tree() -> dict[str, Any]:
    """SSDLite on MobileNetV1 0.25 at 96x96 for two classes, both phases; its data are `tests.support.box_scenes`."""
    tree = classifier_tree()
    tree["model"] = {"name": "mobilenet_v1_ssdlite", "classes": 2, "width": 0.25, "resolution": 96}
    tree["preprocess"] |= {"height": 96, "width": 96}
    phase = {"batch_size": 4, "optimizer": "adamw", "gradient_clip": 10.0}
    tree["train"] = {**phase, "epochs": 2, "learning_rate": 0.01}
    tree["qat"] = {**phase, "epochs": 1, "learning_rate": 0.001, "observe_batches": 2, "distillation_weight": 1.0}
    return tree


def changed(tree: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A tree with keys replaced; None removes one."""
    for path, value in changes.items():
        *sections, key = path.split("__")
        table = tree
        for section in sections:
            table = table[section]
        if value is None:
            table.pop(key)
        else:
            table[key] = value
    return tree


def _maker(tree: Callable[[], dict[str, Any]]) -> Callable[..., Recipe]:
    return lambda **changes: parse_recipe(changed(tree(), changes), "small")


@pytest.fixture
def classifier() -> Callable[..., Recipe]:
    """Makes the small classifier's recipe; arguments replace keys, as train__epochs=3."""
    return _maker(classifier_tree)


@pytest.fixture
def segmenter() -> Callable[..., Recipe]:
    """Makes the small segmenter's recipe; arguments replace keys."""
    return _maker(segmenter_tree)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Small tensors: more threads only wait for each other."""
    torch.set_num_threads(1)
