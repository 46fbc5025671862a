"""A target without a process of its own: the agent's functions called here, with any engines and any clock."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from device_bench.agent.loop import Clock
from device_bench.agent.readers import READERS, Readers
from device_bench.agent.run_job import probe, run_job
from device_bench.jobs.job import Job
from device_bench.targets.target import Progress
from edge.engines.engine import Opener, open_session
from edge.files.leftovers import temporary_folder


class InProcess:
    """Runs jobs in this process: for tests, and for measuring the harness itself."""

    kind = "local"
    name = "local"
    agent_sha256: str | None = None

    def __init__(
        self,
        *,
        opener: Opener = open_session,
        clock: Clock = time.perf_counter_ns,
        readers: Readers = READERS,
    ) -> None:
        self._opener, self._clock, self._readers = opener, clock, readers

    def probe(self) -> Mapping[str, Any]:
        """What this process sees."""
        return probe(self._readers)

    def run(self, job: Job, progress: Progress | None = None) -> Mapping[str, Any]:
        """Run a job here."""
        with temporary_folder() as name:
            folder = Path(name)
            for file, data in job.contents():
                (folder / file).write_bytes(data)
            return run_job(
                job.document,
                folder,
                opener=self._opener,
                clock=self._clock,
                progress=progress,
                readers=self._readers,
            )

    def stop(self) -> None:
        """Nothing: a job in this process ends with it."""

    def close(self) -> None:
        """Nothing is held."""
