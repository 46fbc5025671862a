"""The definition of a task: everything that predictor, evaluation, verification, camera and benchmark ask of it.

`edge.tasks.table.TASKS` holds them by name. This and the tasks' own modules travel to devices: they need numpy and
OpenCV; meters, which only an evaluation needs, are named by text. Which outputs a task accepts is asked when a manifest
is opened, below: `edge.artifact.output_form.OUTPUT_FORMS`.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.port import DescribedPort
from edge.vision.detector import Detector
from edge.vision.frame import Region
from edge.vision.overlay import Style
from edge.vision.pixels import Geometry
from edge.vision.point_rend import Points
from edge.vision.scratch import Scratch

if TYPE_CHECKING:
    from edge.data.splits import Split

Pixels = NDArray[np.uint8]
Array = NDArray[Any]
TOP = 5
MOST_ASKED = 10_000


@dataclass(frozen=True, kw_only=True)
class StageTimes:
    """Nanoseconds of one prediction's stages, in their order."""

    resize_ns: int
    quantize_ns: int
    infer_ns: int
    postprocess_ns: int

    @property
    def total_ns(self) -> int:
        """From the frame to the prediction."""
        return self.resize_ns + self.quantize_ns + self.infer_ns + self.postprocess_ns


UNTIMED = StageTimes(resize_ns=0, quantize_ns=0, infer_ns=0, postprocess_ns=0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """What every task's prediction of a frame has; UNTIMED until a predictor says how long it took.

    Attributes:
        captured_ns: `time.monotonic_ns()` when the frame was taken; of an array when it was given.
        raw: the model's outputs that mean something to the task, batch axis 1, where they were asked for: real values,
            float32; a class map as it is.
    """

    times: StageTimes = UNTIMED
    captured_ns: int = 0
    raw: "tuple[Array, ...] | None" = None

    @property
    def age_ns(self) -> int:
        """How long ago the frame was taken."""
        return time.monotonic_ns() - self.captured_ns


def dated(prediction: "P", times: StageTimes, captured_ns: int, raw: "tuple[Array, ...] | None") -> "P":
    """The prediction, with what is known only now; before anybody else has it, so that nobody sees it change."""
    told = vars(prediction)  # dataclasses.replace would make it a second time, at several times the cost
    told["times"], told["captured_ns"], told["raw"] = times, captured_ns, raw
    return prediction


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What one call asks for beside the artifact's own.

    Attributes:
        top_k: so many classes, or boxes at most. threshold: the least probability. Refused (UsageError) by tasks that
            have none.
        region: the part of the frame that the model was given; None: all of it.
    """

    top_k: int | None = None
    threshold: float | None = None
    region: Region | None = None

    def __post_init__(self) -> None:
        """Refuse (UsageError) numbers that cannot be."""
        if self.top_k is not None and not 1 <= self.top_k <= MOST_ASKED:
            raise UsageError(f"top_k {self.top_k}; 1 to {MOST_ASKED} are possible")
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise UsageError(f"threshold {self.threshold}; a probability between 0 and 1 is needed")


ASKED = Asked()


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What is known of a model where its outputs become a prediction: what it ends in, class names, the way in.

    Attributes:
        outputs: those that mean something to the task, in the file's order; at least one.
        detection: of a detector, how they become boxes.
        points: of a segmenter of logits and fine features, the head that refines them (`edge.vision.point_rend`).
        scratch: room that is used again from frame to frame.
    """

    outputs: tuple[DescribedPort, ...]
    names: tuple[str, ...]
    preprocess: Geometry
    detection: Detector | None = None
    points: Points | None = None
    scratch: Scratch = field(default_factory=Scratch)

    @property
    def output(self) -> DescribedPort:
        """The first output, of a task that has one."""
        return self.outputs[0]


class Meter(Protocol):
    """Counts values (`Task.values`) against the targets of one split, image by image."""

    def add(self, index: int, values: Array, image: Pixels | None = None) -> None:
        """Count one image; `image` is the split's, where it is decoded already."""
        ...

    def figures(self) -> dict[str, Any]:
        """Every figure by its name, JSON-ready."""
        ...

    @property
    def value(self) -> float:
        """The one figure by which a model is judged (`Measure.metric`), in [0, 1]."""
        ...

    @property
    def lower(self) -> float:
        """The lower end of its 95 % interval, in [0, 1]."""
        ...

    @property
    def labels(self) -> dict[str, dict[str, Any]]:
        """The figures of independent labels by name; empty for others."""
        ...


class Likeness(Protocol):
    """How alike the values (`Task.values`) of a model and of its float parent are; needs no targets."""

    def add(self, parent: Array, values: Array) -> None:
        """Count one image."""
        ...

    def figures(self) -> dict[str, Any]:
        """Every figure by its name, JSON-ready."""
        ...

    @property
    def line(self) -> str:
        """The figures in a few words."""
        ...


@dataclass(frozen=True, kw_only=True)
class Measure:
    """How accuracy is counted: the metric that decides, what is decided one by one, and a new meter for a split.

    `likeness`: a new count of how alike two models' values are, beyond the share of equal decisions; None: no more.
    """

    metric: str
    unit: str
    meter: "Callable[[Split], Meter]"
    likeness: "Callable[[], Likeness] | None" = None


def deferred(module: str, name: str) -> Callable[..., Any]:
    """A class, such as a meter, that is imported when its first instance is made."""

    def make(*arguments: Any) -> Any:
        return getattr(import_module(module), name)(*arguments)

    return make


def equal_decisions(first: Array, second: Array) -> tuple[int, int]:
    """How many decisions of two models are equal, place by place, and how many there are; 0 of 0 of other shapes."""
    return (int((first == second).sum()), first.size) if first.shape == second.shape else (0, 0)


P = TypeVar("P", bound=Prediction)
Outputs = tuple[Array, ...]
"""Raw outputs of one image, batch axis 1: those of `ModelFacts.outputs`, in their order."""


@dataclass(frozen=True, kw_only=True)
class Task(Generic[P]):
    """One task.

    Attributes:
        title: what a model file's metadata calls a model of this task.
        predict: outputs, facts, (height, width) of the frame, what is asked -> prediction.
        values: outputs, facts, (height, width) -> what is counted and compared, as `measure` and `decisions` take it.
        decisions: values, facts -> an array of what the model decided.
        alike: decisions of two models -> how many they share, and of how many.
        measure: how accuracy is counted, by whether labels are independent.
        plain: prediction -> JSON-ready fields.
        line: prediction -> a few words on one line.
        gist: prediction -> what of it has to change for it to be another answer; None: its line.
        draw: RGB frame, prediction, style -> a new RGB frame. The frame may be larger than
            the predicted one by a whole factor.
        complete: makes what a prediction holds back until it is asked for (a segmenter's map of the frame's size).
    """

    name: str
    title: str
    predict: Callable[[Outputs, ModelFacts, tuple[int, int], Asked], P]
    values: Callable[[Outputs, ModelFacts, tuple[int, int]], Array]
    decisions: Callable[[Array, ModelFacts], Array]
    measure: Callable[[bool], Measure]
    plain: Callable[[P], dict[str, Any]]
    line: Callable[[P], str]
    draw: Callable[[Pixels, P, Style], Pixels]
    alike: Callable[[Array, Array], tuple[int, int]] = equal_decisions
    complete: Callable[[P], object] = lambda prediction: None
    gist: Callable[[P], str] | None = None


Tasks = Mapping[str, Task[Any]]
