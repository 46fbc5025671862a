"""A frame is drawn as it was asked for."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera.look import LEGIBLE_SIDE, FrameDrawer, Look
from edge.cli.main import main
from edge.errors import UsageError
from edge.predictor.predictor import Predictor
from edge.vision.frame import Frame

MakeArtifact = Callable[..., Path]
FRAME = Frame(image=np.full((150, 200, 3), 90, np.uint8), format="rgb", name="0")


@pytest.fixture
def predictor(make_artifact: MakeArtifact) -> Predictor:
    return Predictor.load(make_artifact(), engine="null")


@pytest.fixture
def segmenter(make_artifact: MakeArtifact) -> Predictor:
    """Answers class 0 everywhere."""
    folder = make_artifact(
        task="segment",
        outputs=(np.zeros((1, 3, 8, 8), np.int8),),
        output={"layout": "nchw", "meaning": "logits"},
        labels={"names": ("a", "b", "c"), "palette": ((200, 30, 30), (1, 2, 3), (4, 5, 6))},
    )
    return Predictor.load(folder, engine="null", selftest=False)


def drawn(predictor: Predictor, look: Look, **more: object) -> np.ndarray:
    drawer = FrameDrawer(predictor, look, **more)  # type: ignore[arg-type]
    return drawer(FRAME, predictor(FRAME.rgb(), format="rgb"))


def test_without_legend_and_times_a_classifiers_frame_is_as_it_was(predictor: Predictor) -> None:
    picture = drawn(predictor, Look(legend="none", times=False))
    assert picture.shape == (300, 400, 3) and (picture == 90).all()
    assert min(picture.shape[:2]) >= LEGIBLE_SIDE


def test_outside_the_picture_stays_free_of_text(predictor: Predictor) -> None:
    picture = drawn(predictor, Look(legend="outside"))
    assert (picture[:300, :400] == 90).all() and picture.shape[0] > 300 and picture.shape[1] > 400


def test_colours_are_the_models_or_distinct_ones(segmenter: Predictor) -> None:
    plain = {"legend": "none", "times": False, "opacity": 1.0}
    assert drawn(segmenter, Look(**plain))[150, 200].tolist() == [200, 30, 30]  # type: ignore[arg-type]
    assert drawn(segmenter, Look(**plain, colours="distinct"))[150, 200].tolist() == [0, 0, 255]  # type: ignore[arg-type]
    half = drawn(segmenter, Look(legend="none", times=False, opacity=0.5))[150, 200]
    assert half.tolist() == [145, 60, 60]


def test_people_see_the_preview_where_the_camera_makes_one(segmenter: Predictor) -> None:
    """The answer is of the small stream, the picture of the large one."""
    small = np.full((60, 80, 3), 90, np.uint8)
    preview = Frame(image=np.full((600, 800, 3), 30, np.uint8), format="rgb")
    frame = Frame(image=small, format="rgb", preview=preview)
    picture = FrameDrawer(segmenter, Look(legend="none", times=False))(frame, segmenter(small, format="rgb"))
    assert picture.shape == (600, 800, 3) and (picture == [115, 30, 30]).all()


def test_what_the_model_was_not_given_is_darkened(predictor: Predictor) -> None:
    picture = drawn(predictor, Look(legend="none", times=False), region=(50, 60, 40, 80))
    assert picture[20, 20].tolist() == [45] * 3 and picture[140, 200].tolist() == [90] * 3
    assert (picture[100, 120:280] == 255).any(axis=1).mean() > 0.9


def test_a_films_rate_is_shown(predictor: Predictor) -> None:
    """After two frames 40 ms apart the line is longer than after one, and than a picture's."""
    times = iter(range(0, 10**9, 40_000_000))
    drawer = FrameDrawer(predictor, Look(legend="none", film=True), clock=lambda: next(times))
    answer = predictor(FRAME.rgb(), format="rgb")
    widths = [int(np.flatnonzero((drawer(FRAME, answer) != 90).any(axis=(0, 2)))[-1]) for _ in range(3)]
    assert widths[0] + 30 < widths[1] == widths[2]


@pytest.mark.parametrize("wrong", [{"legend": "inside"}, {"colours": "pretty"}, {"opacity": 1.5}])
def test_a_look_that_there_is_not_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Look(**wrong)  # type: ignore[arg-type]


def test_the_command_gives_the_model_a_region_and_shows_it(
    make_artifact: MakeArtifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((320, 400, 3), 90, np.uint8))
    arguments = ["camera", str(make_artifact()), "--source", str(tmp_path / "a.png"), "--engine", "null"]
    looks = ["--legend", "none", "--no-times", "--out", str(tmp_path / "out")]
    assert main([*arguments, *looks, "--region", "20,40:100x200"]) == 0
    picture = cv2.imread(str(tmp_path / "out" / "a.png"))
    assert picture[10, 10].tolist() == [45] * 3 and picture[70, 140].tolist() == [90] * 3
    capsys.readouterr()
    for wrong, told in (("20,40:100", "is no region"), ("300,40:100x200", "does not lie in a frame of 320x400")):
        assert main([*arguments, "--region", wrong]) == 2
        assert told in capsys.readouterr().err
