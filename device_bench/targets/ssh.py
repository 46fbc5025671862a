"""A device over SSH: the agent is kept there by its hash, jobs outlive the connection."""

import getpass
import hashlib
import json
import platform
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from device_bench.jobs.job import Job
from device_bench.targets.job_server_process import JobServerProcess, job_server_archive
from device_bench.targets.replies import believed, probed
from device_bench.targets.ssh_client import Address, ConnectionCut, parse_address
from device_bench.targets.target import Progress, TargetOptions
from edge.engines.table import COMPUTE_NOTHING
from edge.errors import EngineError, UsageError
from edge.strict import Strict

JOB_SECONDS = 6 * 3600.0
RECONNECT_SECONDS = 120.0
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 15.0
STOP_TRIES, STOP_PAUSE_SECONDS = 4, 0.3


class Needed(Strict):
    """Which of a job's files the device lacks."""

    missing: tuple[str, ...]


class SshTarget:
    """A device that `ssh` reaches, with Python 3.10 or newer, numpy and a runtime; nothing of ours is installed there.

    Args:
        python: interpreter on the device; None: the one that --prepare made, else python3.
        timeout_s: after it a job is stopped on the device. resume: collect a job that runs or has ended there.
        reconnect_seconds: how long a lost connection is tried again.
    """

    kind = "ssh"

    def __init__(
        self,
        address: Address,
        *,
        python: str | None = None,
        timeout_s: float = JOB_SECONDS,
        resume: bool = False,
        reconnect_seconds: float = RECONNECT_SECONDS,
    ) -> None:
        self._address, self._python, self._timeout_s, self._resume = address, python, timeout_s, resume
        self._reconnect_seconds = reconnect_seconds
        self._archive = job_server_archive()
        self._connection: JobServerProcess | None = None
        self._job_id = ""
        self._stopped = threading.Event()
        self._asked = False  # whether this job's start was sent: from then on it is attached to, never begun again
        self.name = address.name
        self.agent_sha256: str | None = hashlib.sha256(self._archive).hexdigest()

    def probe(self) -> Mapping[str, Any]:
        """What the device is, and which versions of the agent lie there."""
        return self._ask({"do": "probe"})

    def run(self, job: Job, progress: Progress | None = None) -> Mapping[str, Any]:
        """Run a job there, or collect it. A lost connection is made again; the job goes on meanwhile."""
        self._asked, self._job_id = False, job.id
        self._check_engines(job)
        lost_s: float | None = None
        pause_s = FIRST_PAUSE_SECONDS

        def tell(done: int, total: int) -> None:
            nonlocal lost_s, pause_s
            lost_s, pause_s = None, FIRST_PAUSE_SECONDS
            if progress is not None:
                progress(done, total)

        while True:
            try:
                return self._attempt(job, tell)
            except ConnectionCut as error:
                self.close()
                if self._stopped.is_set():
                    raise EngineError(f"{self.name}: interrupted") from error
                lost_s = time.monotonic() if lost_s is None else lost_s
                if time.monotonic() + pause_s - lost_s > self._reconnect_seconds:
                    rest = "; the job goes on there: call again with --resume to collect it" if self._asked else ""
                    raise EngineError(f"{error}; not back within {self._reconnect_seconds:g} s{rest}") from error
                self._stopped.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_SECONDS)

    def stop(self) -> None:
        """End the connection, then by another one the job there. Refuses (EngineError) where that cannot be made."""
        self._stopped.set()
        connection = self._connection
        if connection is not None:
            connection.kill()
        if not self._asked:
            return
        try:
            with JobServerProcess(self._address, self._archive, python=self._python) as other:
                for _ in range(STOP_TRIES):  # its start may just be under way there
                    if other.ask({"do": "stop", "id": self._job_id}).get("stopped"):
                        break
                    time.sleep(STOP_PAUSE_SECONDS)
                other.ask({"do": "forget", "id": self._job_id})
        except EngineError as error:
            raise EngineError(f"{error}; the job goes on there: call again with --resume to collect it") from error

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _attempt(self, job: Job, progress: Callable[[int, int], None]) -> Mapping[str, Any]:
        missing = believed(Needed, self._ask({"do": "need", "names": list(job.files)}), self.name).missing
        for name, data in job.contents():
            if name in missing:
                self._ask({"do": "file", "name": name}, data)
        mode = "attach" if self._asked else "resume" if self._resume else "new"
        start = {
            "do": "start",
            "id": job.id,
            "mode": mode,
            "names": list(job.files),
            "who": f"{getpass.getuser()}@{platform.node()}",
            "timeout_s": self._timeout_s,
        }
        connection = self._connected()
        before, self._asked = self._asked, True
        try:
            connection.ask(start, json.dumps(job.document).encode())
        except ConnectionCut:
            raise
        except EngineError:
            self._asked = before
            raise
        try:
            reply = connection.ask({"do": "wait", "id": job.id}, progress=progress, seconds=None)
        except ConnectionCut:
            raise
        except EngineError:
            self._forget(connection, job)
            raise
        self._forget(connection, job)
        return reply

    def _forget(self, connection: JobServerProcess, job: Job) -> None:
        """Remove the job there; where the connection is just lost it stays, and --remove-agent removes it."""
        try:
            connection.ask({"do": "forget", "id": job.id})
        except ConnectionCut:
            self.close()

    def _check_engines(self, job: Job) -> None:
        """Refuse (EngineError) a job whose runtimes the device lacks before anything is sent."""
        wanted = {spec["engine"] for spec in job.document["subjects"]} - COMPUTE_NOTHING
        told = probed(self).engines
        for engine in sorted(wanted):
            if engine not in told:
                there = ", ".join(told) or "none"
                raise EngineError(
                    f"{self.name}: {engine} is not installed there (installed: {there}); "
                    f"`edge bench --prepare --on {self.name}` installs the runtimes"
                )

    def _ask(self, request: Mapping[str, Any], payload: bytes = b"") -> dict[str, Any]:
        return self._connected().ask(request, payload)

    def _connected(self) -> JobServerProcess:
        if self._stopped.is_set():
            raise EngineError(f"{self.name}: interrupted")
        if self._connection is None:
            self._connection = JobServerProcess(self._address, self._archive, python=self._python)
        return self._connection


def open_ssh(name: str, options: TargetOptions) -> SshTarget:
    """Open `ssh://[user@]host[:port]`. Refuses (UsageError) another form, and options of other targets."""
    refuse_foreign(options)
    return SshTarget(
        parse_address(name, options.ssh_config),
        python=options.python,
        timeout_s=options.timeout_s or JOB_SECONDS,
        resume=options.resume,
    )


def refuse_foreign(options: TargetOptions) -> None:
    """Refuse (UsageError) options that mean nothing to a device over SSH."""
    if options.cpu is not None or options.userland is not None:
        raise UsageError("--cpu and --userland belong to emulated-arm64, not to ssh")
    if options.benchmark_binary is not None:
        raise UsageError("--benchmark-binary belongs to adb, not to ssh")
