"""What a run says of itself on standard error: lines for people, or one JSON object each."""

from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from edge import terminal
from edge.camera.sources.address import without_secrets


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
        self.say(message)
        self.note(event, message=message, **fields)

    def say(self, message: str) -> None:
        """A line for people, where they read."""
        if not self._as_json:
            with self._lock:
                terminal.tell(without_secrets(message))

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
        return without_secrets(value)
    if isinstance(value, dict):
        return {name: _clean(entry) for name, entry in value.items()}
    return [_clean(entry) for entry in value] if isinstance(value, list | tuple) else value
