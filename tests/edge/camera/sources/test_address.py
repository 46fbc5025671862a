"""No password of a URL is shown."""

import pytest

from edge.camera.sources.address import without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://user:pass@host:554/stream", "rtsp://***@host:554/stream"),
        ("rtsp://user:p@ss/w@host/stream", "rtsp://***@host/stream"),
        ("http://host/video?user=a&password=b#c", "http://host/video?***#c"),
        ("RTSPS://u@[::1]/a", "RTSPS://***@[::1]/a"),
        ("cannot open 'http://u:p@host/a' and rtsp://v:q@b", "cannot open 'http://***@host/a' and rtsp://***@b"),
        ("rtsp://host/a@b", "rtsp://host/a@b"),
        ("mail user@host, 3 ? 4", "mail user@host, 3 ? 4"),
        ("film.mp4", "film.mp4"),
    ],
)
def test_logins_and_queries_are_left_out(text: str, shown: str) -> None:
    """A slash ends the login, as RFC 3986 has it; a password in which it was not written %2F is hidden all the same."""
    assert without_secrets(text) == shown
