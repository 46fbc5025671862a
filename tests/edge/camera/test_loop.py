"""The loop and its verb, on the null engine."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera.capture import Capture
from edge.camera.look import FrameDrawer
from edge.camera.loop import LoopOptions, watch
from edge.camera.run_counts import END_TO_END, STAGES, RunCounts
from edge.camera.sinks import NullSink
from edge.cli.main import main
from edge.predictor.predictor import Predictor
from edge.vision.frame import Frame
from tests.support.camera_fakes import Numbered

MakeArtifact = Callable[..., Path]


class Refusing(NullSink):
    """Asks for no more after the second frame."""

    def write(self, image: np.ndarray, name: str) -> bool:
        assert image.shape == (300, 450, 3)
        return name != "1"


def film() -> Capture:
    return Capture(Numbered(5))


@pytest.fixture
def predictor(make_artifact: MakeArtifact) -> Predictor:
    return Predictor.load(make_artifact(), engine="null")


def test_every_frame_has_a_time_for_every_stage(predictor: Predictor) -> None:
    seen = list(watch(predictor, film(), [NullSink()]))
    assert [entry.index for entry in seen] == [0, 1, 2, 3, 4]
    for entry in seen:
        assert set(entry.times_ns) == {*STAGES[1:], END_TO_END}  # reading goes ahead of the frame
        assert entry.times_ns[END_TO_END] >= sum(entry.times_ns[stage] for stage in STAGES[1:]) > 0
        assert entry.age_ns <= entry.times_ns[END_TO_END]


def test_the_loop_ends_at_the_limit_or_when_a_sink_asks(predictor: Predictor) -> None:
    assert len(list(watch(predictor, film(), options=LoopOptions(frames=3)))) == 3
    assert len(list(watch(predictor, film(), [Refusing()]))) == 2


def test_the_summary_is_by_nearest_rank() -> None:
    counts = RunCounts()
    for value in range(10, 0, -1):
        counts.took(dict.fromkeys((*STAGES, END_TO_END), value))
    first, *_, last = counts.summary()
    assert (first.stage, first.p50_ns, first.p90_ns) == ("read", 5, 9)
    assert last.stage == END_TO_END


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("one.png", "two.png"):
        cv2.imwrite(str(folder / name), np.full((30, 40, 3), 90, np.uint8))
    return folder


def test_json_has_one_object_per_frame_and_a_summary(
    make_artifact: MakeArtifact, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["camera", str(make_artifact()), "--source", str(pictures), "--engine", "null", "--json"]) == 0
    *frames, summary = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [frame["name"] for frame in frames] == ["one.png", "two.png"]
    assert frames[0]["classes"][0] == {"index": 0, "name": "class 0", "probability": 0.5}
    assert (summary["kind"], summary["frames"], summary["engine"]["engine"]) == ("summary", 2, "null")
    assert set(summary["stages"]) == {*STAGES, END_TO_END} - {"draw", "write"}  # nothing is drawn


def test_overlays_are_written_and_stages_printed(
    make_artifact: MakeArtifact, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["camera", str(make_artifact()), "--source", str(pictures), "--engine", "null", "--out", str(out)]
    assert main(arguments) == 0
    assert sorted(path.name for path in out.glob("*.png")) == ["one.png", "two.png"]
    drawn = cv2.imread(str(out / "one.png"))
    assert drawn.shape == (300, 400, 3) and (drawn != 90).any()
    printed = capsys.readouterr().out
    assert "one.png  class 0 50.0 %" in printed
    assert all(stage in printed for stage in STAGES)


def test_a_video_in_is_a_video_out(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"mp4v"), 15.0, (64, 48))
    for _ in range(6):
        writer.write(np.full((48, 64, 3), 90, np.uint8))
    writer.release()
    out = tmp_path / "overlay.mp4"
    assert main(["camera", str(make_artifact()), "--source", str(film), "--engine", "null", "--out", str(out)]) == 0
    capture = cv2.VideoCapture(str(out))
    assert (capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)) == (15.0, 6)
    capture.release()


def test_wrong_requests_are_one_line_and_leave_nothing(
    make_artifact: MakeArtifact, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = str(make_artifact())
    out = tmp_path / "out"
    (pictures / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    inside = pictures / "out"
    for arguments, status, told in (
        (["camera", artifact, "--source", str(pictures), "--engine", "null", "--out", str(out)], 1, "a.png"),
        (["camera", artifact, "--source", str(pictures), "--out", str(inside)], 2, "lies in the input"),
        (["camera", artifact, "--source", str(pictures), "--out", str(tmp_path)], 2, "holds the input"),
        (["camera", artifact, "--source", str(pictures), "--out", artifact], 2, "is the input"),
        (
            ["camera", artifact, "--source", str(tmp_path / "absent"), "--engine", "null"],
            2,
            "no such file, folder or camera",
        ),
        (["camera", str(pictures), "--source", str(pictures)], 1, "not an artifact folder"),
        (["camera", artifact, "--source", str(pictures), "--engine", "litret"], 2, "did you mean 'litert'"),
    ):
        assert main(arguments) == status
        error = capsys.readouterr().err
        assert told in error and error.startswith("edge camera: ") and len(error.splitlines()) == 1
    assert not out.exists()


def test_what_was_seen_before_a_damaged_picture_is_kept(
    make_artifact: MakeArtifact, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run ends there with its line and exit code 1."""
    (pictures / "p.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    out = tmp_path / "out"
    arguments = ["camera", str(make_artifact()), "--source", str(pictures), "--engine", "null", "--out", str(out)]
    assert main(arguments) == 1
    assert [path.name for path in out.glob("*.png")] == ["one.png"]
    assert "p.png: " in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("name", ["out", "out.mp4", "out.avi"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_run_and_lose_nothing(
    make_artifact: MakeArtifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    name: str,
    number: signal.Signals,
) -> None:
    """Two while the third frame is drawn, and one at every sync afterwards."""
    out, drawn, sync = tmp_path / name, [], os.fsync

    def drawing(drawer: FrameDrawer, frame: Frame, *rest: object) -> np.ndarray:
        drawn.append(frame.name)
        for _ in range(2 * (len(drawn) == 3)):
            os.kill(os.getpid(), number)
        return np.full((32, 32, 3), 90, np.uint8)

    def syncing(descriptor: int) -> None:
        if drawn:
            os.kill(os.getpid(), number)
        sync(descriptor)

    monkeypatch.setattr(FrameDrawer, "__call__", drawing)
    monkeypatch.setattr(os, "fsync", syncing)
    arguments = ["camera", str(make_artifact()), "--source", "generated:classify:val:20", "--engine", "null"]
    with contextlib.suppress(KeyboardInterrupt):  # of the signals that came last
        assert main([*arguments, "--out", str(out)]) == 0
    monkeypatch.undo()
    assert len(drawn) == 3
    if out.is_dir():
        assert len(list(out.glob("*.png"))) == 3
    else:
        capture = cv2.VideoCapture(str(out))
        assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 3
        capture.release()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
    assert f"ending; finishing {out}" in capfd.readouterr().err


@pytest.mark.unhurried
def test_frames_are_kept_when_nobody_reads_the_answers(
    make_artifact: MakeArtifact, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard output is a full disk: the message names it, and the picture of the frame stands."""
    out = tmp_path / "out"
    arguments = ["camera", str(make_artifact()), "--source", str(pictures), "--engine", "null", "--out", str(out)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edge", *arguments, "--json"], stdout=full, stderr=-1, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "edge camera: standard output: cannot be written: No space left on device\n"
    assert [path.name for path in out.glob("*.png")] == ["one.png"]


@pytest.mark.parametrize("shape", [(1, 4000, 3), (65000, 1, 3), (2, 300, 3)])
def test_a_thin_picture_is_not_enlarged_beyond_measure(predictor: Predictor, shape: tuple[int, int, int]) -> None:
    """No side grows beyond 4096 pixels."""
    frame = Frame(image=np.zeros(shape, np.uint8), format="rgb", name="0")
    drawn = FrameDrawer(predictor)(frame, predictor(frame.image, format="rgb"))
    assert max(drawn.shape) == max(4096 // max(shape), 1) * max(shape)
