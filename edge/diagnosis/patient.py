"""What is examined: a model opened, with what was given beside it."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge.data.splits import Split, Target
from edge.diagnosis.norms import NormStatistics
from edge.explain.score_output import Ending
from edge.files.bounded_file import is_file
from edge.graph.graph import Graph, Operator
from edge.vision.pixels import Pixels, resize
from edge.vision.preprocess import Preprocess

Form = Literal["checkpoint", "onnx", "tflite", "artifact"]
MOST_IMAGES = 64
Floats = npt.NDArray[np.float32]
ObserveNorms = Callable[[Sequence[Floats]], tuple[NormStatistics, ...]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Photographs:
    """Images to look at: at most MOST_IMAGES of a split, evenly spread; those of one geometry are decoded once."""

    split: Split
    most: int = MOST_IMAGES
    _kept: dict[str, Pixels] = field(default_factory=dict, repr=False)

    @cached_property
    def places(self) -> tuple[int, ...]:
        """Their indices in the split."""
        count = len(self.split)
        return tuple(int(place) for place in np.linspace(0, count - 1, min(self.most, count)).round())

    @property
    def origin(self) -> str:
        """How many, of what."""
        return f"{len(self.places)} images of {self.split.origin or 'the split'}"

    def pixels(self, preprocess: Preprocess) -> Pixels:
        """At the model's size and in its colour order: uint8 (n, height, width, 3)."""
        key = preprocess.model_dump_json(exclude={"mean", "std"} if preprocess.fit != "letterbox" else None)
        if key not in self._kept:
            self._kept[key] = np.stack([resize(self.split.image(place), preprocess) for place in self.places])
        return self._kept[key]

    def targets(self) -> list[Target]:
        """Their targets, as the split has them."""
        return [self.split.samples[place].target for place in self.places]


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A Transpose of a map from one layout to the other: what it moves, in bytes, and why it is there."""

    name: str
    size_bytes: int
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Patient:
    """A model and what was given beside it.

    Attributes:
        graph: canonical, batch norm folded; float, or with parameters on its tensors.
        floats: operators of an integer model that compute in float, and of a float model those without an integer form.
        transposes: of the file that devices run.
        preprocess: of the model's input as it is used; None for a file without a card.
        integer_weights: of a float network, weights that its file stores as integers all the same.
        trained: as its training had it, where that is known. parent: the float parent's graph.
        scored: the graph up to its scores, and what they mean; None where no output is known to be scores of classes.
        norms: watches the batch norms of the float network on inputs (n, 3, h, w); None where none is left.
        calibration, evaluation: images that ranges come, or came, from; images that the model is judged on.
        command: how the model is named in a command line, with its card (CARD where none was given).
        card: that of a model file. float_model: as `command`, the float parent (FLOAT_MODEL where none is known).
        calibrating: the option that names the calibration images (SPLIT where none were given).
    """

    path: Path
    form: Form
    graph: Graph
    command: str
    card: Path | None = None
    float_model: str = "FLOAT_MODEL"
    calibrating: str = "--calibration SPLIT"
    task: str | None = None
    floats: tuple[Operator, ...] = ()
    transposes: tuple[Moved, ...] = ()
    integer_weights: tuple[str, ...] = ()
    preprocess: Preprocess | None = None
    trained: Preprocess | None = None
    parent: Graph | None = None
    scored: tuple[Graph, Ending] | None = None
    norms: ObserveNorms | None = None
    calibration: Photographs | None = None
    evaluation: Photographs | None = None

    @property
    def is_integer(self) -> bool:
        """Whether any of its tensors is quantized."""
        return any(tensor.quantization is not None for tensor in self.graph.tensors.values())

    @property
    def quantizing(self) -> str:
        """The command that quantizes the model, or, where this one is not a source of it, the float model behind it."""
        return self.quantizing_by(self.calibrating)

    def quantizing_by(self, images: str) -> str:
        """The same with an option that names other images."""
        source = self.float_model if self.is_integer or self.form in ("tflite", "artifact") else self.command
        return f"edge quantize {source} {images} -o ARTIFACT"

    @property
    def quantizing_parent(self) -> str:
        """The command that quantizes the float parent."""
        return f"edge quantize {self.float_model} {self.calibrating} -o ARTIFACT"

    @property
    def making(self) -> str:
        """The command that makes an artifact of the model as it stands."""
        floats = self.form == "onnx" and not self.is_integer
        return self.quantizing if floats else f"edge convert {self.command} -o ARTIFACT"

    @property
    def training(self) -> str:
        """The command that trains on from a checkpoint, by the recipe beside it; '' of another model."""
        if self.form != "checkpoint":
            return ""
        recipe = self.path.with_name("recipe.toml")
        named = shlex.quote(str(recipe)) if is_file(recipe) else "RECIPE.toml"
        return f"edge train {named} --init {self.command} -o RUN"

    @property
    def photographs(self) -> Photographs | None:
        """Images of any use: those that the model is judged on, else those of the calibration."""
        return self.evaluation or self.calibration

    @property
    def stated(self) -> Preprocess | None:
        """The preprocessing of the training where it is known, at the size of the input; else how the model is fed."""
        if self.trained is None or self.preprocess is None:
            return self.trained or self.preprocess
        sizes = {"height": self.preprocess.height, "width": self.preprocess.width}
        return Preprocess.model_validate({**self.trained.model_dump(), **sizes})
