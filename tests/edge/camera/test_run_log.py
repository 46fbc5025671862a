"""What a run tells on standard error, and what it never does."""

import json
from datetime import UTC, datetime

import pytest

from edge.camera.run_log import RunLog
from edge.camera.sources.address import without_secrets

URL = "rtsp://admin:p@ss w0rd@camera.local:554/stream?x=1"


def test_an_event_is_one_object_with_its_time_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    log = RunLog(as_json=True, now=lambda: datetime(2026, 3, 1, 12, 30, 1, 5000, UTC))
    log.tell("offline", "the camera\nis gone", source=["rtsp://me:secret@camera/"], frames=3)
    log.note("counts", frames=float("nan"))
    captured = capsys.readouterr()
    first, second = (json.loads(line) for line in captured.err.splitlines())
    assert first == {
        "time": "2026-03-01T12:30:01.005Z",
        "event": "offline",
        "message": "the camera\nis gone",
        "source": ["rtsp://***@camera/"],
        "frames": 3,
    }
    assert second["frames"] is None and captured.out == ""


def test_people_read_the_message_alone(capsys: pytest.CaptureFixture[str]) -> None:
    log = RunLog()
    log.tell("offline", f"{URL} is gone", frames=3)
    log.note("counts", frames=3)
    assert capsys.readouterr().err == "rtsp://***@camera.local:554/stream?*** is gone\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (URL, "rtsp://***@camera.local:554/stream?***"),
        ("http://camera/a@b", "http://camera/a@b"),
        ("cannot open 'rtsp://u:p@h/1' and rtsps://u@h", "cannot open 'rtsp://***@h/1' and rtsps://***@h"),
        ("http://camera:80/a@b", "http://camera:80/a@b"),
        ("rtsp://u:a/b?c#d@h/1?key=x", "rtsp://***@h/1?***"),
        ("rtsp://u:123@h/1: gone", "rtsp://***@h/1: gone"),
        ("me@home: 3 frames", "me@home: 3 frames"),
    ],
)
def test_credentials_of_urls_are_left_out(text: str, told: str) -> None:
    assert without_secrets(text) == told
