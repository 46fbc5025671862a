"""A URL as it may be shown: without its password, and without what stands behind its question mark."""

import re

# user:password@ (RFC 3986, section 3.2.1). Where people forget to escape it a password holds anything: behind a colon
# that no port follows everything up to the last @ is taken for one, rather too much than too little.
_LOGIN = re.compile(r"(?<=://)(?:[^/\s?#'\"@:]*:(?!\d+(?:[/?#\s'\"]|$))[^'\"\n]*|[^/\s?#'\"]*)@")
_WHOLE_LOGIN = re.compile(r"(?<=://)(?:[^/?#@:]*:(?!\d+(?:[/?#]|$)).*|[^/?#]*)@", re.DOTALL)
_QUERY = re.compile(r"(?<=\?)[^\s'\"#]+")
_WHOLE_QUERY = re.compile(r"\?.*", re.DOTALL)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"]+")


def without_secrets(text: str) -> str:
    """The text with every URL in it as `rtsp://***@host/path?***`; cameras take passwords in both places."""
    return _URL.sub(lambda found: _QUERY.sub("***", found[0]), _LOGIN.sub("***@", text))


def shown_url(url: str) -> str:
    """A text that is a URL and nothing else, without its password and its query, whatever characters are in them."""
    return _WHOLE_QUERY.sub("?***", _WHOLE_LOGIN.sub("***@", url))
