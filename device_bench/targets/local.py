"""This machine: the agent in a process of its own, so that memory and cold start are the model's."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from device_bench.jobs.job import Job
from device_bench.targets.agent_archive import SERVE, bench_archive, bench_archive_sha256, bench_start_arguments
from device_bench.targets.agent_process import REPLY_SECONDS, AgentProcess
from device_bench.targets.target import Progress, TargetOptions
from edge.engines.python_child import THIS_PYTHON, code_arguments
from edge.errors import EngineError, UsageError

START_HERE = f"sys.path.insert(0, sys.argv[1])\nfrom {SERVE} import main\nmain()"


class LocalTarget:
    """This machine, with this Python or another one.

    Args:
        python: another interpreter, with numpy and a runtime; the product need not be installed there. None is this
            one, which also has what is installed beside it (torch).

    Raises:
        UsageError: there is no such interpreter.
    """

    kind = "local"

    def __init__(self, python: str | None = None, *, reply_seconds: float = REPLY_SECONDS) -> None:
        self._python = None if python is None else shutil.which(python)
        if python is not None and self._python is None:
            raise UsageError(f"--python {python}: no such interpreter; give the path of an executable")
        self._reply_seconds = reply_seconds
        self._agent: AgentProcess | None = None
        self._stopped = False
        self.name = "local" if python is None else f"local:{python}"
        self.agent_sha256: str | None = bench_archive_sha256()

    def probe(self) -> Mapping[str, Any]:
        """What this machine is."""
        with self._start() as agent:
            return agent.ask({"do": "probe"})

    def run(self, job: Job, progress: Progress | None = None) -> Mapping[str, Any]:
        """Run a job in a fresh process."""
        with self._start() as agent:
            for name, data in job.contents():
                agent.ask({"do": "file", "name": name}, data)
            return agent.ask({"do": "run"}, json.dumps(job.document).encode(), progress)

    def stop(self) -> None:
        """End the process that measures, and start no other."""
        self._stopped = True
        if self._agent is not None:
            self._agent.stop()

    def close(self) -> None:
        """Nothing is held between jobs."""

    def _start(self) -> AgentProcess:
        if self._stopped:
            raise EngineError(f"{self.name}: interrupted")
        self._agent = self._started()
        return self._agent

    def _started(self) -> AgentProcess:
        if self._python is None:
            # The folder that this product was imported from comes first for the other process too.
            root = str(Path(__file__).absolute().parents[2])
            command = [THIS_PYTHON, *code_arguments(START_HERE, [root])]
            return AgentProcess(command, name=self.name, reply_seconds=self._reply_seconds)
        # What steers the Python that runs here must not reach the other one.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return AgentProcess(
            [os.path.abspath(self._python), *bench_start_arguments()],
            name=self.name,
            before=bench_archive(),
            environment={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
            reply_seconds=self._reply_seconds,
        )


def open_local(name: str, options: TargetOptions) -> LocalTarget:
    """Open `local`. Refuses (UsageError) anything behind the name, and options of other targets."""
    if name != "local":
        raise UsageError(f"--on {name}: it is 'local' alone; an interpreter is named with --python")
    if options.cpu is not None or options.userland is not None:
        raise UsageError("--cpu and --userland belong to emulated-arm64, not to local")
    if options.benchmark_binary is not None:
        raise UsageError("--benchmark-binary belongs to adb, not to local")
    return LocalTarget(options.python, reply_seconds=options.timeout_s or REPLY_SECONDS)
