"""A target that could not be opened: it fails when its turn comes, and the others are measured."""

from collections.abc import Mapping
from typing import Any, NoReturn

from device_bench.jobs.job import Job
from device_bench.targets.target import Progress
from edge.errors import EngineError


class Unopened:
    """Stands where `open_target` raised."""

    agent_sha256: str | None = None

    def __init__(self, name: str, error: EngineError) -> None:
        self.name, self.kind, self._error = name, name.split(":", 1)[0], error

    def probe(self) -> Mapping[str, Any]:
        """Raises why it could not be opened."""
        self._fail()

    def run(self, job: Job, progress: Progress | None = None) -> Mapping[str, Any]:
        """Raises why it could not be opened."""
        self._fail()

    def stop(self) -> None:
        """Nothing runs there."""

    def close(self) -> None:
        """Nothing is held."""

    def _fail(self) -> NoReturn:
        raise self._error
