"""The programs of docs/camera_events.md tell what happens in films that were drawn for it: camera_events.md, run."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.camera.sources.opening import open_source
from edge.predictor.predictor import Predictor
from edge.tasks.classify import ClassPrediction
from tests.conftest import ROOT
from tests.support.pages import blocks
from tests.support.watched_films import Figure, figure, film, watching_artifact

PAGE = ROOT / "docs" / "camera_events.md"
BLOCKS = [block.text for block in blocks(PAGE) if block.language == "python"]
Told = tuple[list[str], list[dict[str, Any]]]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """Runs the program of an artifact's name; what it printed, and its events."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, frames: list[list[tuple[float, float, float, float]]]) -> Told:
        (tmp_path / "artifacts").mkdir()
        watching_artifact(name, tmp_path / "artifacts")
        film(tmp_path / "film.avi", frames)
        (program,) = (block for block in BLOCKS if name in block)
        assert program.count('"0"') == 1 and len(program.splitlines()) <= 30
        capsys.readouterr()
        exec(compile(program.replace('"0"', '"film.avi"'), str(PAGE), "exec"), {})
        lines = capsys.readouterr().out.splitlines()
        return [line for line in lines if line[0] != "{"], [json.loads(line) for line in lines if line[0] == "{"]

    return run


def visit(width: float) -> list[tuple[float, float, float, float]]:
    """A visitor who takes up so much of the picture's width."""
    return [(0.3, 0.2, 0.3 + width, 0.9)] if width else []


@pytest.mark.unhurried
def test_the_doorbell_rings_once_per_visit(told: Callable[..., Told], tmp_path: Path) -> None:
    """Not for who hesitates, nor for a reflex; not twice for who bends down."""
    hesitates, stays, bends = [0.07, 0.12] * 10, [0.3, 0.3, 0.3, 0.1] * 5, [0.0] * 5
    widths = [0.0] * 10 + hesitates + stays + bends + [0.3] * 10 + [0.0] * 15 + [0.5] + [0.0] * 6 + [0.3] * 8
    rung, events = told("door_int8", [visit(width) for width in [*widths, *[0.0] * 15]])
    assert rung == ["ding dong"] * 2
    assert [event["state"] for event in events] == ["on", "off", "on", "off"]
    begun, over, again, end = (event["time_s"] for event in events)
    assert (begun, over, again, end) == (3.2, 7.5, 9.0, 10.5)
    page = [json.loads(line) for line in PAGE.read_text("utf-8").splitlines() if line.startswith('{"kind"')]
    assert page == [{**event, "value": pytest.approx(event["value"], abs=0.001)} for event in events]

    with Predictor.load(tmp_path / "artifacts" / "door_int8") as predict:
        answers = [predict(frame.bgr()) for frame in open_source("film.avi").frames()]
    above = [isinstance(answer, ClassPrediction) and answer.label == "person" for answer in answers]
    assert f"rung {np.sum(np.diff(np.array(above, int)) > 0)} times" in PAGE.read_text("utf-8")


def test_the_lane_is_free_but_for_what_stays_in_it(told: Callable[..., Told]) -> None:
    """What passes beside it changes nothing, nor does what is there for one frame."""
    beside, within = [(0.02, 0.6, 0.2, 0.9)], [(0.35, 0.6, 0.6, 0.95)]
    frames = [[]] * 10 + [beside] * 10 + [within] + [[]] * 5 + [within + beside] * 12 + [[]] * 10
    printed, events = told("floor_int8", frames)
    assert [line.split()[0] for line in printed] == ["go", "stop", "go"]
    assert [event["time_s"] for event in events] == [0.5, 2.8, 4.3]
    assert [event["value"] > 0.9 for event in events] == [True, False, True]


def test_everybody_who_crosses_is_counted_once(told: Callable[..., Told]) -> None:
    """One down, one up, one who turns back, two side by side, one who stands on the line, one who is not seen there."""

    def walk(x: float, *ys: float) -> list[Figure]:
        ends = [np.linspace(first, last, 9)[:-1] for first, last in pairwise(ys)]
        return [(x, float(y)) for y in np.concatenate(ends)]

    stands = [(0.3, 0.6 + (0.012 if index % 2 else -0.012)) for index in range(20)]
    single = [walk(0.2, 0.3, 0.95), walk(0.5, 0.95, 0.3), walk(0.8, 0.3, 0.57, 0.3), walk(0.3, 0.3, 0.6)]
    frames = [[foot] for way in single for foot in way] + [[foot] for foot in [*stands, *walk(0.3, 0.6, 0.95)]]
    frames += [list(pair) for pair in zip(walk(0.25, 0.3, 0.95), walk(0.65, 0.3, 0.95), strict=True)]
    unseen = [[foot] for foot in walk(0.5, 0.3, 0.6, 0.95)]
    unseen[7:9] = [[], []]
    _, events = told("people_int8", [[figure(foot) for foot in feet] for feet in frames + unseen])
    assert [event["state"] for event in events] == ["in", "out", "in", "in", "in", "in"]
    assert (events[-1]["in"], events[-1]["out"], events[-1]["inside"]) == (5, 1, 4)
    assert len({event["track"] for event in events}) == 6
