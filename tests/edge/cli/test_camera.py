"""`edge camera` as a service runs it: what a manager, a log reader and a scraper get."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera.look import FrameDrawer
from edge.camera.sink_stage import Hung
from edge.cli import camera
from edge.cli.main import main
from edge.vision.frame import Frame
from tests.support.mjpeg_server import MjpegServer
from tests.support.prometheus_text import parse

MakeArtifact = Callable[..., Path]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("one.png", "two.png"):
        cv2.imwrite(str(folder / name), np.full((30, 40, 3), 90, np.uint8))
    return folder


@pytest.fixture
def words(make_artifact: MakeArtifact, pictures: Path) -> list[str]:
    return ["camera", str(make_artifact()), "--source", str(pictures), "--engine", "null"]


def test_a_service_manager_hears_of_the_first_answer_and_of_the_end(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    assert main(words) == 0
    manager.setblocking(False)
    ready, watchdog, status = manager.recv(4096).decode().split("\n")
    assert (ready, watchdog) == ("READY=1", "WATCHDOG=1")
    assert re.fullmatch(r"STATUS=(1 of 1|1 of 2|2 of 2) frames answered, 0 dropped, 0 restarts", status)
    assert manager.recv(4096) == b"STOPPING=1"
    with pytest.raises(BlockingIOError):
        manager.recv(4096)
    manager.close()


def test_the_log_of_a_run_is_an_object_per_line_whatever_happens(
    words: list[str], pictures: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--log", "json", "--json"]) == 0
    events = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [event["event"] for event in events] == ["start", "counts"]
    assert events[0]["engine"]["engine"] == "null" and events[0]["source"] == str(pictures)
    assert (events[1]["frames"], events[1]["answered"], events[1]["dropped"]) == (2, 2, {})
    assert events[1]["stages"]["infer"]["p50_ns"] > 0
    (pictures / "p.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    assert main([*words, "--log", "json", "--json"]) == 1
    events = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [event["event"] for event in events] == ["start", "counts", "failed"]
    assert "p.png" in events[-1]["message"] and events[1]["answered"] == 1


def test_an_end_that_is_asked_for_is_in_the_log(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def drawing(drawer: FrameDrawer, frame: Frame, *rest: object) -> np.ndarray:
        os.kill(os.getpid(), 15)
        return np.full((32, 32, 3), 90, np.uint8)

    monkeypatch.setattr(FrameDrawer, "__call__", drawing)
    assert main([*words, "--log", "json", "--out", str(tmp_path / "out.mp4")]) == 0
    start, ending, counts = (json.loads(line) for line in capfd.readouterr().err.splitlines()[:3])
    assert [event["event"] for event in (start, ending)] == ["start", "ending"]
    assert start["time"] <= ending["time"] and str(tmp_path / "out.mp4") in ending["message"]
    assert counts["answered"] >= 1


def test_the_metrics_of_a_run_can_be_read_while_it_runs(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pages: list[str] = []

    def drawing(drawer: FrameDrawer, frame: Frame, *rest: object) -> np.ndarray:
        port = json.loads(capfd.readouterr().err.splitlines()[0])["port"] if not pages else 0
        if port:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
                pages.append(page.read().decode())
        return np.full((32, 32, 3), 90, np.uint8)

    monkeypatch.setattr(FrameDrawer, "__call__", drawing)
    assert main([*words, "--log", "json", "--metrics", "0", "--out", str(tmp_path / "out")]) == 0
    assert parse(pages[0])["edge_camera_answered_total"].value() in (1, 2)


@pytest.mark.unhurried
def test_a_network_camera_that_is_lost_and_back_is_answered_and_its_password_told_nowhere(
    make_artifact: MakeArtifact, tmp_path: Path
) -> None:
    """By way of a file that holds its URL; the server is killed after ten frames, and starts again.

    In a process of its own: FFmpeg takes its log level once.
    """
    server = MjpegServer()
    (tmp_path / "url").write_text(server.url)

    def kill_and_start() -> None:
        while server.number < 10:
            time.sleep(0.01)
        server.kill()
        server.start()

    killer = threading.Thread(target=kill_and_start)
    killer.start()
    words = ["--source", f"@{tmp_path / 'url'}", "--engine", "null", "--frames", "40", "--json", "--log", "json"]
    argv = [sys.executable, "-m", "edge", "camera", str(make_artifact()), *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
    killer.join()
    server.kill()
    assert done.returncode == 0, done.stderr
    events = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert events.count("online") == 2 and events.count("offline") == 1
    *frames, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(frames) == 40 == summary["frames"] and len({frame["name"] for frame in frames}) == 40
    assert "s3cret-word" not in done.stderr + done.stdout and "user" not in done.stderr


def test_passwords_are_told_nowhere(make_artifact: MakeArtifact, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["camera", str(make_artifact()), "--source", "http://me:secret@127.0.0.1:9/stream?key=hidden"]
    for more in ([], ["--log", "json"]):
        assert main([*words, "--engine", "null", "--open-timeout", "1s", *more]) == 1
        told = "".join(capfd.readouterr())
        assert "127.0.0.1:9/stream" in told and "secret" not in told and "hidden" not in told


def test_an_output_that_hangs_ends_the_process_without_closing_it(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Left(BaseException):
        """In place of the end of this process."""

    def leave(code: int) -> None:
        assert code == 1
        raise Left

    def hanging(*arguments: object, **named: object) -> object:
        raise Hung("the output has not taken a frame for 11.0 s")
        yield

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(camera, "watch", hanging)
    with pytest.raises(Left):
        camera.command.main(args=words[1:], standalone_mode=False)
    assert capsys.readouterr().err == "edge camera: the output has not taken a frame for 11.0 s\n"


@pytest.mark.unhurried
def test_a_model_that_always_hangs_ends_the_process_with_a_line(words: list[str], tmp_path: Path) -> None:
    """Its workers are abandoned in the middle of a prediction, and the process ends all the same."""
    program = """
import sys, threading
from edge.cli.main import main
from edge.engines.null_session import NullSession
NullSession._compute = lambda *arguments: threading.Event().wait()
sys.exit(main(sys.argv[1:]))
"""
    film = tmp_path / "out.mp4"
    given = [*words, "--no-selftest", "--stall-after", "100ms", "--out", str(film)]
    done = subprocess.run(
        [sys.executable, "-c", program, *given], capture_output=True, text=True, check=False, timeout=120
    )
    *replaced, last = done.stderr.splitlines()
    assert done.returncode == 1 and done.stdout == "" and not film.exists()
    assert [re.sub(r"\d\.\d s", "N s", line) for line in replaced] == [
        "the model has not answered for N s: its worker is replaced"
    ] * 3
    assert last.endswith("s, after 3 replaced workers: start the program anew")
    assert last.startswith("edge camera: the model has not answered for ")


@pytest.mark.unhurried
def test_a_read_that_comes_back_while_the_process_ends_does_not_abort_it(make_artifact: MakeArtifact) -> None:
    """The thread of the read is in FFmpeg when everything else is over, and its frame comes then."""
    server = MjpegServer()
    given = ["--no-selftest", "--engine", "null", "--read-timeout", "60s", "--json"]
    words = [sys.executable, "-m", "edge", "camera", str(make_artifact()), "--source", server.url, *given]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert json.loads(process.stdout.readline())["kind"] == "frame"
        server.silent.set()
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        while json.loads(process.stdout.readline())["kind"] != "summary":
            continue
        server.silent.clear()
        told = process.stderr.read()
    server.kill()
    assert (process.returncode, told) == (0, "ending\n")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--latency-budget", "100ms"], "--latency-budget is for cameras and streams"),
        (["--latency-budget", "100"], "'100' has no unit"),
        (["--stall-after", "0s"], "'0s' must be more than zero"),
        (["--metrics", "localhost"], "'localhost' is no address to listen on"),
        (["--max-age", "soon"], "'soon' is not a duration"),
    ],
)
def test_options_that_cannot_hold_are_one_line(
    words: list[str], more: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, *more]) == 2
    error = capsys.readouterr().err
    assert told in error and len(error.splitlines()) == 1


def test_every_option_stands_under_a_heading(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["camera", "--help"]) == 0
    rest = capsys.readouterr().out.partition("Other options:")[2]
    assert [line.split()[0] for line in rest.splitlines() if line.strip().startswith("-")] == ["-h,"]
