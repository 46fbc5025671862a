"""What a run says of itself on standard error: lines for people, or one JSON object each."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from edge import terminal

# user:password@ of a URL (RFC 3986, section 3.2.1). Where people forget to escape it a password holds anything: behind
# a colon that no port follows everything up to the last @ is taken for one, rather too much than too little.
_CREDENTIALS = re.compile(r"(?<=://)(?:[^/\s?#'\"@:]*:(?!\d+(?:[/?#\s'\"]|$))[^'\"\n]*|[^/\s?#'\"]*)@")


def without_credentials(text: str) -> str:
    """A text with `***@` for what stands before the host of every URL in it."""
    return _CREDENTIALS.sub("***@", text)


class RunLog:
    """Events of a run, from any thread. Credentials of URLs are left out of every line."""

    def __init__(self, *, as_json: bool = False, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._as_json, self._now = as_json, now
        self._lock = Lock()

    @property
    def as_json(self) -> bool:
        """Whether every line is a JSON object."""
        return self._as_json

    def tell(self, event: str, message: str, **fields: Any) -> None:
        """An event that a person wants to know of: a line of text, or an object with its fields."""
        if not self._as_json:
            with self._lock:
                terminal.tell(without_credentials(message))
            return
        self.note(event, message=message, **fields)

    def note(self, event: str, **fields: Any) -> None:
        """An event for a program: an object, or nothing where people read."""
        if self._as_json:
            line = self.line(event, **fields)
            with self._lock:
                terminal.tell_json(line)

    def line(self, event: str, **fields: Any) -> dict[str, Any]:
        """The object of an event: its time (UTC), its name and its fields."""
        time = self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"time": time, "event": event, **{name: _clean(value) for name, value in fields.items()}}


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return without_credentials(value)
    if isinstance(value, dict):
        return {name: _clean(entry) for name, entry in value.items()}
    return [_clean(entry) for entry in value] if isinstance(value, list | tuple) else value
