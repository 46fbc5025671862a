"""A URL as it may be shown: without its password, and without what stands behind its question mark."""

import re

_LOGIN = re.compile(r"(?<=://)[^\s/?#]*@")
_QUERY = re.compile(r"(?<=\?)[^\s'\"#]+")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"]+")


def without_secrets(text: str) -> str:
    """The text with every URL in it as `rtsp://***@host/path?***`; cameras take passwords in both places."""
    return _URL.sub(lambda found: _QUERY.sub("***", _LOGIN.sub("***@", found[0])), text)
