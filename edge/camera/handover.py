"""What one thread hands to the next: every item in order, or the newest alone."""

from collections import deque
from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")


class Finished(Exception):
    """Nothing more will come."""


class Handover(Generic[T]):
    """A bounded place between a thread that puts and a thread that takes; it never grows, whichever is slower.

    In order, putting waits for room. With `newest`, it never waits: what is older makes room and is given back, for the
    one who put to count.
    """

    def __init__(self, most: int = 1, *, newest: bool = False) -> None:
        self._items: deque[T] = deque()
        self._most, self._newest = most, newest
        self._finished = self._closed = False
        self._changed = Condition()

    def put(self, item: T) -> T | None:
        """Hand over. Returns what is lost by it: an older item, or this one where nobody takes any more."""
        with self._changed:
            while not self._newest and len(self._items) >= self._most and not self._closed:
                self._changed.wait()
            if self._closed:
                return item
            lost = self._items.popleft() if len(self._items) >= self._most else None
            self._items.append(item)
            self._changed.notify_all()
            return lost

    def take(self, timeout_s: float | None = None) -> T | None:
        """The oldest item; None if none came in time. Raises Finished when none is left and none will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._finished or self._closed, timeout_s)
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            if self._finished or self._closed:
                raise Finished
            return None

    @property
    def waiting(self) -> bool:
        """Whether an item lies here."""
        with self._changed:
            return bool(self._items)

    def finish(self) -> None:
        """Say that no more will be put; what lies here can still be taken."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def close(self) -> list[T]:
        """End it for both sides at once. Returns what nobody took."""
        with self._changed:
            self._closed = True
            left = list(self._items)
            self._items.clear()
            self._changed.notify_all()
            return left
