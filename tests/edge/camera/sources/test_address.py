"""No password of a URL is shown."""

import pytest

from edge.camera.sources.address import shown_url, without_secrets


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


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://user:pa'ss@host/a", "rtsp://***@host/a"),
        ('rtsp://user:pa"s s\n@host:554/a', "rtsp://***@host:554/a"),
        ("rtsp://us'er@host/a", "rtsp://***@host/a"),
        ("http://host/a?user=b&password=my secret 'word'#c", "http://host/a?***"),
        ("http://host:80/a@b?c", "http://host:80/a@b?***"),
        ("http://host:80", "http://host:80"),
    ],
)
def test_what_is_a_url_as_a_whole_shows_nothing_that_was_not_escaped(url: str, shown: str) -> None:
    assert shown_url(url) == shown == without_secrets(shown)
