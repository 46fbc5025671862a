"""Of a film what changes is told, and no more than a line a second."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.camera.answers import ChangedAnswers
from edge.camera.inference import Seen
from edge.cli.main import main
from edge.tasks.classify import CLASSIFY, ClassPrediction
from edge.tasks.segment import SEGMENT, SegmentPrediction
from edge.vision.frame import Frame
from edge.vision.postprocess import ClassScores

MakeArtifact = Callable[..., Path]
FRAME = Frame(image=np.zeros((8, 8, 3), np.uint8), format="rgb")


def seen(label: str, second: float, probability: float = 0.9) -> Seen:
    scores = ClassScores(indices=(0, 1), names=(label, "other"), probabilities=(probability, 1 - probability))
    answered_ns = round(second * 1e9)
    return Seen(
        index=0,
        frame=FRAME,
        task=CLASSIFY,
        prediction=ClassPrediction(scores=scores),
        times_ns={},
        answered_ns=answered_ns,
    )


def test_a_change_is_told_and_other_numbers_are_none() -> None:
    chosen = ChangedAnswers("changes")
    answers = [seen("cat", 0.0), seen("cat", 1.5, 0.8), seen("dog", 3.0), seen("dog", 9.0, 0.7)]
    assert [chosen.tells(answer) for answer in answers] == [True, False, True, False]


def test_a_flicker_is_told_once_a_second_and_its_end_is_told_late() -> None:
    chosen = ChangedAnswers("changes")
    flicker = [seen("cat" if index % 2 else "dog", index / 10) for index in range(25)]
    assert [index for index, answer in enumerate(flicker) if chosen.tells(answer)] == [0, 11, 22]
    assert not chosen.tells(seen("cat", 2.5)) and chosen.tells(seen("cat", 3.3))


def test_every_answer_or_none() -> None:
    assert all(ChangedAnswers("every").tells(seen("cat", 0.0)) for _ in range(3))
    assert not ChangedAnswers("none").tells(seen("cat", 0.0))


def test_the_gist_of_a_class_map_is_what_covers_much_of_it() -> None:
    assert SEGMENT.gist is not None
    class_map = np.zeros((10, 10), np.uint8)
    class_map[:3], class_map[9, 9] = 1, 2
    names = ("road", "car", "sign")
    assert SEGMENT.gist(SegmentPrediction(model_map=class_map, names=names, enlarge=lambda: class_map)) == "car, road"


@pytest.mark.parametrize(("more", "lines"), [([], 3), (["--answers", "none"], 0), (["--answers", "changes"], 1)])
def test_the_command_prints_what_was_asked_for(
    make_artifact: MakeArtifact, capsys: pytest.CaptureFixture[str], more: list[str], lines: int
) -> None:
    arguments = ["camera", str(make_artifact()), "--source", "generated:classify:val:3", "--engine", "null", *more]
    assert main(arguments) == 0
    assert capsys.readouterr().out.count("class 0 50.0 %") == lines
