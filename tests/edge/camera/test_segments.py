"""A recording is films that play, whatever ends it; no film is deleted that nobody asked to delete."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera.mjpeg_film import MjpegFilm
from edge.camera.segments import Segments, open_segments
from edge.camera.sources.opening import open_source
from edge.cli.main import main
from edge.errors import FileError, UsageError

MakeArtifact = Callable[..., Path]
ROOT = Path(__file__).resolve().parents[3]
S = 1_000_000_000
FRAME = np.full((32, 48, 3), 90, np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
RECORDING = """
import resource, sys
import numpy as np
from pathlib import Path
from edge.camera.segments import Segments, open_segments
noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
def record(folder, frames, **options):
    segments = Segments(length_ns=10**9, **options)
    with open_segments(Path(folder), segments, 10.0, live=False) as sink:
        for index in range(frames):
            sink.write(np.roll(noise, index, axis=1), str(index))
            print(index, flush=True)
"""


class Clock:
    """Nanoseconds that pass when it is told so."""

    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def counts(folder: Path) -> dict[str, int]:
    """Films of a folder, and how many frames of each can be read."""
    return {path.name: len(list(open_source(str(path)).frames())) for path in sorted(folder.glob("*.avi"))}


def record(folder: Path, frames: int, **options: int) -> list[str]:
    told: list[str] = []
    segments = Segments(length_ns=S, **options)
    with open_segments(folder, segments, 4.0, live=False, tell=told.append) as sink:
        for index in range(frames):
            assert sink.write(FRAME, str(index))
    return told


def test_films_have_their_length_and_are_continued_by_the_next_run(tmp_path: Path) -> None:
    assert record(tmp_path / "films", 10) == []
    assert counts(tmp_path / "films") == {"000001.avi": 4, "000002.avi": 4, "000003.avi": 2}
    record(tmp_path / "films", 1)
    assert list(counts(tmp_path / "films")) == ["000001.avi", "000002.avi", "000003.avi", "000004.avi"]


def test_the_oldest_films_are_deleted_and_nothing_else(tmp_path: Path) -> None:
    """Of a run before, too; a film of somebody else that is called like ours stays, and its number is not taken."""
    record(tmp_path, 12)
    (tmp_path / "000002.avi").write_bytes(b"RIFF of somebody else")
    (tmp_path / "notes.txt").write_text("mine")
    record(tmp_path, 9, keep=3)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["000002.avi", "000004.avi", "000005.avi", "000006.avi", "notes.txt"]


def test_a_size_budget_holds_for_all_films_together(tmp_path: Path) -> None:
    budget = 400_000
    with open_segments(tmp_path, Segments(length_ns=60 * S, keep_bytes=budget), 25.0, live=False) as sink:
        for _ in range(60):
            sink.write(NOISE, "x")
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert sink.frames * 20_000 > budget > sum(sizes) > budget / 3


def test_a_camera_film_lasts_as_long_as_its_frames_took(tmp_path: Path) -> None:
    """The camera states 25 frames per second and gives 5."""
    clock = Clock()
    with open_segments(tmp_path, Segments(length_ns=3 * S), 25.0, live=True, clock=clock) as sink:
        for _ in range(20):
            sink.write(FRAME, "x")
            clock.now_ns += S // 5
    assert counts(tmp_path) == {"000001.avi": 15, "000002.avi": 5}
    capture = cv2.VideoCapture(str(tmp_path / "000001.avi"), cv2.CAP_FFMPEG)
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(5, rel=0.01)
    capture.release()


def test_frames_of_another_size_begin_another_film(tmp_path: Path) -> None:
    with open_segments(tmp_path, Segments(length_ns=60 * S), 25.0, live=False) as sink:
        for image in (FRAME, FRAME, FRAME[:16]):
            sink.write(image, "x")
    assert counts(tmp_path) == {"000001.avi": 2, "000002.avi": 1}


def test_two_recordings_do_not_share_a_folder(tmp_path: Path) -> None:
    segments = Segments(length_ns=S)
    with (
        open_segments(tmp_path, segments, 25.0, live=False),
        pytest.raises(FileError, match="another process records into it"),
        open_segments(tmp_path, segments, 25.0, live=False),
    ):
        pass


def started(tmp_path: Path, code: str, last: int) -> "subprocess.Popen[str]":
    """A process that records, once it said that the frame `last` was written."""
    process = subprocess.Popen(
        [sys.executable, "-c", RECORDING + code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= last:
            break
    return process


@pytest.mark.unhurried
def test_a_killed_recording_plays_up_to_its_last_frame(tmp_path: Path) -> None:
    with started(tmp_path, "record('films', 100_000)", 25) as process:
        process.send_signal(signal.SIGKILL)
        assert process.stdout is not None
        written = [25, *map(int, process.stdout.read().split())][-1] + 1
    found = counts(tmp_path / "films")
    assert set(list(found.values())[:-1]) == {10}
    assert written <= sum(found.values()) <= written + 1
    told = record(tmp_path / "films", 1)
    name = list(found)[-1]
    assert told == [f"{tmp_path / 'films' / name}: was cut off, and is finished now"]
    assert counts(tmp_path / "films") | found == counts(tmp_path / "films")


def test_a_folder_that_cannot_be_held_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", no_locks)
    told = "cannot be held against other processes: No locks available"
    with pytest.raises(FileError, match=told), open_segments(tmp_path, Segments(length_ns=1), 25.0, live=False):
        pass


def test_a_limit_on_sizes_ends_the_recording_with_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What was recorded plays, and the run goes on; the process may write no larger files."""
    code = "resource.setrlimit(resource.RLIMIT_FSIZE, (300000, 300000)); record('films', 20)"
    done = subprocess.run(
        [sys.executable, "-c", RECORDING + code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    (frames,) = counts(tmp_path / "films").values()
    assert 1 < frames < 10 and done.returncode == 0
    told = f"recording ended: films cannot be written: File too large; the {frames} frames before are kept\n"
    assert (done.stderr, len(done.stdout.split())) == (told, 20)


@pytest.mark.parametrize("when_full", ["go-on", "end"])
def test_a_full_disk_ends_the_recording_and_its_films_play(tmp_path: Path, when_full: str) -> None:
    """A disk of 1 MiB, mounted for the process; all that was recorded is read there again."""
    code = f"""
from edge.camera.sources.opening import open_source
from edge.errors import FileError
try:
    record('disk', 200, end_when_full={when_full == "end"})
except FileError as error:
    print(error, file=sys.stderr)
print('read', sum(len(list(open_source(str(path)).frames())) for path in Path('disk').iterdir()))
"""
    (tmp_path / "disk").mkdir()
    mounted = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    line = 'mount -t tmpfs -o size=1m none disk && exec "$0" "$@"'
    if (
        shutil.which("unshare") is None
        or subprocess.run([*mounted, line, "true"], cwd=tmp_path, check=False).returncode
    ):
        pytest.skip("no disk can be mounted here")
    done = subprocess.run(
        [*mounted, line, sys.executable, "-c", RECORDING + code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    *written, read = done.stdout.splitlines()
    frames = int(read.split()[1])
    assert len(written) == (200 if when_full == "go-on" else frames)
    assert 10 < frames < 200
    told = f"cannot be written: No space left on device; the {frames} frames before are kept\n"
    assert done.stderr == ("recording ended: disk " if when_full == "go-on" else "disk: ") + told


@pytest.mark.unhurried
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("segment", [["--segment", "500ms"], []], ids=["films", "film"])
def test_a_signal_ends_a_recording_that_plays(
    make_artifact: MakeArtifact, tmp_path: Path, number: signal.Signals, segment: list[str]
) -> None:
    """Of the command, as systemd ends it: every frame that it told of is in the films, within two seconds.

    Where the machine is so busy that starting and 40 frames take longer than that, within that time.
    """
    out = tmp_path / ("films" if segment else "film.avi")
    arguments = ["camera", str(make_artifact()), "--source", "generated:classify:val:1500", "--engine", "null"]
    before = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", *arguments, "--json", "--out", str(out), *segment],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        for _ in range(40):
            process.stdout.readline()
        start = time.monotonic()
        process.send_signal(number)
        told = sum('"kind": "frame"' in line for line in process.stdout.read().splitlines()) + 40
        assert time.monotonic() - start < max(2, start - before)
    assert process.returncode == 0
    films = list(counts(out).values()) if segment else [len(list(open_source(str(out)).frames()))]
    assert sum(films) == told and len(films) > 3 * bool(segment)


@pytest.mark.unhurried
def test_a_command_that_is_killed_loses_no_frame_that_it_told_of(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    out = tmp_path / "films"
    arguments = ["camera", str(make_artifact()), "--source", "generated:classify:val:1500", "--engine", "null"]
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", *arguments, "--json", "--out", str(out), "--segment", "500ms"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        for _ in range(40):
            process.stdout.readline()
        process.kill()
        told = sum(line.endswith("\n") for line in process.stdout.read().splitlines(keepends=True)) + 40
    assert process.returncode == -signal.SIGKILL
    films = list(counts(out).values())
    assert len(films) > 3 and sum(films) in (told, told + 1)


def test_a_structured_log_tells_of_a_film_that_was_cut(
    make_artifact: MakeArtifact, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    film = MjpegFilm(tmp_path / "whole.avi", (48, 32), 25.0)
    film.add(cv2.imencode(".jpg", FRAME)[1].tobytes())
    (folder / "000001.avi").write_bytes((tmp_path / "whole.avi").read_bytes())
    film.close()
    arguments = ["camera", str(make_artifact()), "--source", "generated:classify:val:2", "--engine", "null"]
    assert main([*arguments, "--out", str(folder), "--segment", "60s", "--log", "json"]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    (told,) = [line["message"] for line in lines if line["event"] == "recording"]
    assert told == f"{folder / '000001.avi'}: was cut off, and is finished now"
    assert counts(folder) == {"000001.avi": 1, "000002.avi": 2}


def test_options_of_a_recording_are_refused_without_it(
    make_artifact: MakeArtifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["camera", str(make_artifact()), "--source", "generated:classify:val:2", "--engine", "null"]
    for more, told in (
        (["--keep-segments", "2"], "--keep-segments: only films of a recording are counted; add --segment 60s"),
        (["--segment", "60s"], "--segment 60s: name a folder for the films with --out"),
        (["--segment", "60s", "--out", str(tmp_path / "a.avi")], "--segment 60s: name a folder"),
        (["--segment", "60", "--out", str(tmp_path / "a")], "'60' has no unit"),
    ):
        assert main([*command, *more]) == 2
        assert told in capsys.readouterr().err
    with pytest.raises(UsageError, match="0 films to keep"):
        Segments(length_ns=S, keep=0)
    assert list(tmp_path.glob("a*")) == []
