"""The recipe of a training that was asked for without one: one's own images, and weights to start from or none.

What such a training is done with stands in one table, TRAINING; everything else follows from the images and from the
file of weights.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from edge.data.splits import Task
from edge.errors import UsageError
from edge.recipe.recipe import Data, Recipe
from edge.recipe.recipe_file import apply_overrides, parse_recipe

Start = Literal["pretrained", "random"]
Table = Mapping[str, Any]

NAME = "own"
HOLDOUT = 0.1
LONGEST_SIDE, SHORTEST_SIDE = 512, 64
STEP, ATROUS_STEP = 8, 16
"""A segmenter's input and its crops, in pixels. Networks take any size from 64 on; of multiples of the output stride,
crops and whole images lie alike under the positions of the logits (docs/deeplab.md)."""
CROP = 0.8
"""Share of a segmenter's input, along both sides, that its training images have."""
MOST_EPOCHS = 200
"""Of a float phase that sees few images more often (`least_steps`)."""
SYMMETRIC: Table = {"mean": [127.5] * 3, "std": [127.5] * 3}
"""Pixels to [-1, 1]: the networks of this product, and TensorFlow's."""
COMPARES = frozenset({"keep", "patience"})
"""Keys of a phase that need something to validate on."""


@dataclass(frozen=True, kw_only=True)
class TaskDefaults:
    """What a task's training takes where nothing else is said.

    Attributes:
        model: the network.
        geometry: how an image becomes its input.
        resolution: its input, height and width in pixels; None: as large as the images (`segmenter_size_hw`), and
            training sees crops of it.
        least_steps: of the float phase: where there are few images, they are seen more often.
    """

    model: str
    geometry: Table
    resolution: int | None
    least_steps: int = 0

    @property
    def whole_scenes(self) -> bool:
        """Whether images are taken in their own size."""
        return self.resolution is None


DEFAULTS: Mapping[Task, TaskDefaults] = {
    "classify": TaskDefaults(
        model="mobilenet_v2",
        geometry={"interpolation": "bilinear", "fit": "crop", "crop_fraction": 0.875},
        resolution=224,
    ),
    "segment": TaskDefaults(
        model="fast_scnn",
        geometry={"interpolation": "bilinear", "fit": "stretch", "crop_fraction": 1.0},
        resolution=None,
        least_steps=900,
    ),
    "detect": TaskDefaults(
        model="mobilenet_v2_ssdlite",
        geometry={"interpolation": "bilinear", "fit": "stretch", "crop_fraction": 1.0},
        resolution=320,
        least_steps=1200,
    ),
}

_CLASSIFY_QAT: Table = {
    "epochs": 2,
    "batch_size": 16,
    "optimizer": "adamw",
    "learning_rate": 5e-5,
    "freeze_batch_norm_epoch": 0,
    "label_weight": 0.0,
    "distillation_weight": 1.0,
    "augment": {"area": [0.4, 1.0]},
}
# On CamVid: 55.9 mIoU after 20 epochs; batches of 8 and 4 with a poly schedule and a shorter average 55.1 and 54.9.
_SEGMENT_TRAIN: Table = {
    "epochs": 20,
    "batch_size": 8,
    "optimizer": "adamw",
    "learning_rate": 2e-3,
    "schedule": "constant",
    "warmup_epochs": 3,
    "weight_decay": 0.02,
    "ema_decay": 0.998,
    "class_weights": "sqrt_frequency",
    "auxiliary_weight": 0.4,
    "auxiliary_stride": 8,
    "loss_stride": 2,
    "eval_epochs": 5,
    "augment": {"scale": [0.7, 1.8], "brightness": 0.25, "contrast": 0.25, "saturation": 0.25, "channel": 0.08},
}
_SEGMENT_QAT: Table = {
    "epochs": 3,
    "batch_size": 8,
    "optimizer": "adamw",
    "learning_rate": 2e-4,
    "class_weights": "sqrt_frequency",
    "loss_stride": 2,
    "freeze_batch_norm_epoch": 1,
    "freeze_ranges_epoch": 2,
    "distillation_weight": 1.0,
    "eval_epochs": 3,
    "augment": {"scale": [0.75, 1.5], "brightness": 0.25, "contrast": 0.25, "saturation": 0.25},
}
_DETECT_TRAIN: Table = {
    "epochs": 40,
    "batch_size": 8,
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "warmup_epochs": 2,
    "weight_decay": 0.02,
    "ema_decay": 0.99,
    "gradient_clip": 10.0,
    "freeze_batch_norm_epoch": MOST_EPOCHS,  # live, also where it was folded into the weights
    "eval_epochs": 5,
    "keep": "best",
    "augment": {
        "crop_overlaps": [0.0],
        "area": [0.4, 1.0],
        "brightness": 0.2,
        "contrast": 0.2,
        "saturation": 0.2,
        "channel": 0.1,
    },
}
_DETECT_QAT: Table = {
    "epochs": 2,
    "batch_size": 8,
    "optimizer": "adamw",
    "learning_rate": 5e-5,
    "freeze_batch_norm_epoch": 0,
    "freeze_ranges_epoch": 1,
    "distillation_weight": 1.0,
    "gradient_clip": 10.0,
    "augment": _DETECT_TRAIN["augment"],
}

# (what it starts from, task) -> the sections [model], [train] and [qat], without what follows from the images.
TRAINING: Mapping[tuple[Start, Task], Mapping[str, Table]] = {
    # The head is a linear probe; what follows is gentle, because a few hundred images move 2 million weights easily.
    ("pretrained", "classify"): {
        "model": {"dropout": 0.2},
        "train": {
            "epochs": 3,
            "batch_size": 16,
            "optimizer": "adamw",
            "learning_rate": 2e-5,
            "weight_decay": 0.02,
            "ema_decay": 0.9,
            "head": "probe",
            "freeze_batch_norm_epoch": 0,
            "keep": "best",
            "augment": {"area": [0.4, 1.0], "brightness": 0.2, "contrast": 0.2, "saturation": 0.2},
        },
        "qat": _CLASSIFY_QAT,
    },
    ("random", "classify"): {
        "model": {"dropout": 0.2},
        "train": {
            "epochs": 60,
            "batch_size": 16,
            "optimizer": "adamw",
            "learning_rate": 2e-3,
            "warmup_epochs": 2,
            "weight_decay": 0.02,
            "ema_decay": 0.98,
            "label_smoothing": 0.1,
            "eval_epochs": 5,
            "augment": {"area": [0.4, 1.0], "brightness": 0.2, "contrast": 0.2, "saturation": 0.2},
        },
        "qat": _CLASSIFY_QAT,
    },
    ("pretrained", "segment"): {
        "model": {"auxiliary": True},
        "train": {**_SEGMENT_TRAIN, "learning_rate": 5e-4},
        "qat": _SEGMENT_QAT,
    },
    ("random", "segment"): {"model": {"auxiliary": True}, "train": _SEGMENT_TRAIN, "qat": _SEGMENT_QAT},
    # A few hundred images teach the first layers nothing that photographs did not.
    ("pretrained", "detect"): {"model": {}, "train": {**_DETECT_TRAIN, "frozen_blocks": 4}, "qat": _DETECT_QAT},
    ("random", "detect"): {"model": {}, "train": {**_DETECT_TRAIN, "learning_rate": 2e-3}, "qat": _DETECT_QAT},
}

INDEPENDENT: Mapping[Start, Table] = {
    "pretrained": {"learning_rate": 5e-5},
    "random": {"label_smoothing": 0.0},  # a probability is then how often a label holds
}
"""What is otherwise in [train] for labels of which several may hold."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """What a training split says: its task, classes, how many images, and for masks how large (height, width).

    `independent`: several labels of an image may hold at once.
    """

    task: Task
    classes: int
    count: int
    size_hw: tuple[int, int] | None = None
    independent: bool = False


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What a file of weights says.

    Attributes:
        path: of the file, as the recipe is to name it.
        model, arguments: the network it fits, and the arguments of its builder that follow from the file.
        preprocess: keys of [preprocess] that it was trained with: `mean` and `std`, or all of them.
    """

    path: str
    model: str
    arguments: Table = field(default_factory=dict)
    preprocess: Table = field(default_factory=dict)


def own_recipe(
    data: Data,
    images: Images,
    *,
    model: str | None = None,
    weights: Weights | None = None,
    overrides: Sequence[str] = (),
) -> Recipe:
    """A whole recipe for these images.

    Args:
        model: a name of `edge models`; None: that of the weights, else the task's (DEFAULTS).
        weights: what training starts from; None: random values.
        overrides: `section.key=value` each, as `read_recipe` takes them; the input's size follows from [model].

    Raises:
        UsageError: images without classes; weights that do not say how pixels become their input, and no override does.
        RecipeError: an override that does not hold.
    """
    if images.task not in DEFAULTS:
        raise UsageError(
            "there is nothing to learn from images alone: give class folders, --labels, --masks or --boxes"
        )
    start: Start = "random" if weights is None else "pretrained"
    sections = TRAINING[start, images.task]
    train = dict(sections["train"])
    if images.independent:
        train |= INDEPENDENT[start]
    train["epochs"] = _epochs(train, images.count, DEFAULTS[images.task].least_steps)
    if weights is not None:
        train |= {"init": weights.path, "reset_head": True}
    qat = dict(sections["qat"])
    if data.val is None and data.holdout is None:
        train, qat = ({key: value for key, value in phase.items() if key not in COMPARES} for phase in (train, qat))
    network = _network(images, sections["model"], model, weights)
    if not _takes(network["name"], "auxiliary"):
        network.pop("auxiliary", None)
        train = {key: value for key, value in train.items() if not key.startswith("auxiliary_")}
    tree: dict[str, Any] = {
        "name": NAME,
        "model": network,
        "data": data.model_dump(mode="json", exclude_none=True),
        "preprocess": {},
        "train": train,
        "qat": qat,
    }
    apply_overrides(tree, overrides)
    _shorten_warmup(tree["train"], overrides)
    if not all(isinstance(tree[section], dict) for section in ("model", "preprocess")):
        raise UsageError("--set: [model] and [preprocess] are sections; set a key of them")
    tree["preprocess"] = _preprocess(tree["model"], images, weights) | tree["preprocess"]
    if weights is not None and not {"mean", "std"} <= tree["preprocess"].keys():
        raise UsageError(
            f"{weights.path}: does not say how pixels become its input; give --set preprocess.mean=[R,G,B] and "
            "--set preprocess.std=[R,G,B], of pixels 0..255"
        )
    recipe = parse_recipe(tree, "the recipe for these images")
    if DEFAULTS[images.task].whole_scenes and recipe.train.crop_hw is None:
        step = _step(recipe.model.name)
        crop_hw = tuple(_stepped(CROP * side, step) for side in (recipe.preprocess.height, recipe.preprocess.width))
        return recipe.model_copy(update={"train": recipe.train.model_copy(update={"crop_hw": crop_hw})})
    return recipe


def segmenter_size_hw(size_hw: tuple[int, int], step: int = STEP) -> tuple[int, int]:
    """The input of a segmenter for images of this size: at most LONGEST_SIDE long, in steps that the network takes."""
    scale = min(1.0, LONGEST_SIDE / max(size_hw))
    height, width = (_stepped(side * scale, step) for side in size_hw)
    return height, width


def _epochs(train: Table, count: int, least_steps: int) -> int:
    """The table's epochs, or more where there are few images: each epoch has few steps then."""
    steps = max(1, count // int(train["batch_size"]))
    return int(max(train["epochs"], min(MOST_EPOCHS, -(-least_steps // steps))))


def _step(model: str) -> int:
    return ATROUS_STEP if _takes(model, "output_stride") else STEP


def _stepped(side: float, step: int) -> int:
    return max(SHORTEST_SIDE, step * round(side / step))


def _shorten_warmup(train: Any, overrides: Sequence[str]) -> None:
    """Of fewer epochs than the table's at most a quarter are a rise, unless that was asked for."""
    asked: dict[str, Any] = {}
    apply_overrides(asked, [override for override in overrides if override.startswith("train.")])
    if isinstance(train, dict) and "warmup_epochs" in train and "warmup_epochs" not in asked.get("train", {}):
        epochs = train.get("epochs")
        if isinstance(epochs, int):
            train["warmup_epochs"] = min(train["warmup_epochs"], epochs / 4)


def _network(images: Images, defaults: Table, model: str | None, weights: Weights | None) -> dict[str, Any]:
    name = model or (weights.model if weights else DEFAULTS[images.task].model)
    arguments = dict(defaults) | ({} if weights is None else dict(weights.arguments))
    if DEFAULTS[images.task].whole_scenes:
        size_hw = segmenter_size_hw(images.size_hw or (LONGEST_SIDE, LONGEST_SIDE), _step(name))
        arguments.setdefault("resolution_hw", list(size_hw))
    else:
        arguments.setdefault("resolution", DEFAULTS[images.task].resolution)
    return {"name": name, **arguments, "classes": images.classes}


def _takes(model: str, argument: str) -> bool:
    """Whether the builder of a network has this argument; of an unknown one, which `build` refuses, nothing is said."""
    from edge.models.registry import MODELS  # brings torch

    return model not in MODELS or argument in inspect.signature(MODELS[model]).parameters


def _preprocess(model: Table, images: Images, weights: Weights | None) -> dict[str, Any]:
    """All of [preprocess] that follows; a file of weights that says nothing of mean and std leaves them out."""
    size_hw = model.get("resolution_hw") or [model.get("resolution")] * 2
    if not isinstance(size_hw, list) or len(size_hw) != 2:
        raise UsageError(f"--set model.resolution_hw={size_hw}: give [height, width]")
    height, width = size_hw
    pixels = SYMMETRIC if weights is None else weights.preprocess
    return {"colour_order": "rgb", **DEFAULTS[images.task].geometry, **pixels, "height": height, "width": width}
