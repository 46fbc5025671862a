"""A task that nobody knows is one definition and its rows: everything that asks TASKS runs it.

It takes the name of one that is known, which a manifest's types ask for, and the place of that one in every table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.artifact import output_form
from edge.artifact.manifest import open_artifact
from edge.camera.capture import Capture
from edge.camera.loop import watch
from edge.camera.report import frame_line, frame_object
from edge.camera.sinks import FolderSink
from edge.data import splits
from edge.data.splits import Sample, Split
from edge.errors import UnsupportedError
from edge.predictor.predictor import Predictor
from edge.tasks.accuracy import accuracy
from edge.tasks.table import TASKS
from edge.tasks.task import Array, Measure, ModelFacts, Outputs, Pixels, Prediction, Task
from edge.vision.frame import Frame
from edge.vision.overlay import Style

MakeArtifact = Callable[..., Path]


@dataclass(frozen=True, kw_only=True)
class Boxes(Prediction):
    """How many boxes hold something."""

    count: int


class CountMeter:
    """The share of images with as many boxes as the target says."""

    def __init__(self, split: Split) -> None:
        self._split = split
        self._right: list[bool] = []

    def add(self, index: int, values: Array, image: Pixels | None = None) -> None:
        self._right.append(int(values[0]) == self._split.samples[index].target)

    def figures(self) -> dict[str, Any]:
        return {"counted": self.value}

    @property
    def value(self) -> float:
        return float(np.mean(self._right))

    @property
    def lower(self) -> float:
        return 0.0

    @property
    def labels(self) -> dict[str, dict[str, Any]]:
        return {}


def _count(outputs: Outputs, facts: ModelFacts, frame_hw: tuple[int, int]) -> Array:
    return np.array([np.count_nonzero(outputs[0] == (facts.output.zero_point or 0))])


def _draw(rgb: Pixels, prediction: Boxes, style: Style) -> Pixels:
    return np.full_like(rgb, prediction.count)


DETECT: Task[Boxes] = Task(
    name="detect",
    title="object detector",
    predict=lambda outputs, facts, frame_hw, asked: Boxes(count=int(_count(outputs, facts, frame_hw)[0])),
    values=_count,
    decisions=lambda values, facts: values,
    measure=lambda independent: Measure(metric="counted", unit="images", meter=CountMeter),
    plain=lambda prediction: {"boxes": prediction.count},
    line=lambda prediction: f"{prediction.count} boxes",
    draw=_draw,
)


class Film:
    """One frame."""

    name = "street.jpg"
    live, pictures, timed = False, True, False
    frames_per_second: float | None = None

    def frames(self) -> Any:
        yield Frame(image=np.zeros((20, 30, 3), np.uint8), format="rgb", name="street.jpg")

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def folder(make_artifact: MakeArtifact, monkeypatch: pytest.MonkeyPatch) -> Path:
    known = {name: problem for name, problem in output_form.PROBLEMS.items() if name != "detect"}
    monkeypatch.setattr(output_form, "PROBLEMS", known)
    monkeypatch.delitem(TASKS, "detect")  # type: ignore[attr-defined]
    return make_artifact(task="detect", output={"meaning": "boxes", "scores": None, "scale": 1.0, "zero_point": 0})


@pytest.fixture
def detect(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "detect", DETECT)  # type: ignore[arg-type]
    monkeypatch.setitem(
        splits.TARGETS, "detect", splits.TargetKind(fits=lambda target, independent: isinstance(target, int))
    )  # type: ignore[arg-type]


def test_without_a_definition_it_has_no_predictor(folder: Path) -> None:
    with pytest.raises(UnsupportedError, match="task 'detect' has no predictor"):
        Predictor.load(folder, engine="null")


@pytest.mark.usefixtures("detect")
def test_the_predictor_gives_its_prediction_with_times(folder: Path) -> None:
    prediction = Predictor.load(folder, engine="null")(np.zeros((9, 9, 3), np.uint8))
    assert isinstance(prediction, Boxes)
    assert prediction.count == 3
    assert prediction.times.total_ns > 0


@pytest.mark.usefixtures("detect")
def test_the_camera_tells_and_draws_it(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "drawn").mkdir()
    sink = FolderSink(tmp_path / "drawn", tmp_path / "drawn")
    (seen,) = watch(Predictor.load(folder, engine="null"), Capture(Film()), [sink])
    assert frame_object(seen)["boxes"] == 3
    assert frame_line(seen) == "street.jpg  3 boxes"
    assert cv2.imread(str(tmp_path / "drawn" / "street.png"))[0, 0].tolist() == [3, 3, 3]


@pytest.mark.usefixtures("detect")
def test_an_evaluation_counts_it_by_its_own_meter(folder: Path) -> None:
    samples = tuple(
        Sample(name=str(target), image=lambda: np.zeros((8, 8, 3), np.uint8), target=target) for target in (2, 3)
    )
    split = Split(samples=samples, task="detect", classes=("a", "b", "c", "d"))  # type: ignore[arg-type]
    predictor = Predictor.load(open_artifact(folder), engine="null")
    counted = accuracy(split, lambda frames: [predictor.values(frame, format="rgb") for frame in frames])
    assert counted["counted"] == 0.5
