"""An emulated aarch64 processor: the real ARM kernels, and the instructions they execute; never a time."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from device_bench.jobs.job import Job
from device_bench.targets.agent_archive import COUNT, bench_archive, bench_archive_sha256, bench_start_arguments
from device_bench.targets.agent_process import REPLY_SECONDS, AgentProcess
from device_bench.targets.emulated_arm64.userland import CPUS, Userland, build_userland, open_userland
from device_bench.targets.target import Progress, TargetOptions
from edge.errors import EngineError, UsageError, unknown_name
from edge.files.leftovers import temporary_folder
from edge.percentile import nearest_rank

KIND = "emulated-arm64"
DEFAULT_CPU = "cortex-a72"
# What would make two counts of the same bytes differ: threads, hashes, the stack's random bytes, addresses.
PINNED: Mapping[str, str] = {
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PATH": "/usr/bin:/bin",
    "PYTHONHASHSEED": "0",
    "QEMU_RAND_SEED": "1",
    "QEMU_RESERVED_VA": "0x2000000000",
}


class EmulatedArm64:
    """A userland under qemu-user as a target; every subject is counted in a process of its own.

    They are forks of one that stays until `close`, so that all begin in the same state.

    Args:
        cpu: a key of CPUS.
    """

    kind = KIND

    def __init__(self, userland: Userland, cpu: str = DEFAULT_CPU, *, reply_seconds: float = REPLY_SECONDS) -> None:
        self._userland, self._cpu, self._reply_seconds = userland, cpu, reply_seconds
        self._agent: AgentProcess | None = None
        self._held = ExitStack()  # the folder of the marks
        self._marks = Path()
        self._stopped = False
        self.name = f"{KIND}:{cpu}"
        self.agent_sha256: str | None = bench_archive_sha256()

    def probe(self) -> Mapping[str, Any]:
        """What the emulated machine is."""
        with self._conversation() as agent:
            return agent.ask({"do": "probe"})

    def run(self, job: Job, progress: Progress | None = None) -> Mapping[str, Any]:
        """Count the instructions of every subject. Refuses (UsageError) what a count cannot hold."""
        _check(job)
        replies = []
        for place, spec in enumerate(job.document["subjects"]):
            replies.append(self._count(job, spec))
            if progress is not None:
                progress(place + 1, len(job.document["subjects"]))
        try:
            states = [state for reply in replies for state in reply["states"]]
        except (LookupError, TypeError) as error:
            raise EngineError(f"{self.name}: its answer holds no states") from error
        return {**replies[-1], "states": states, "subjects": [reply["subjects"][0] for reply in replies]}

    def stop(self) -> None:
        """End the emulator, and start no other."""
        self._stopped = True
        if (agent := self._agent) is not None:
            agent.stop()

    def close(self) -> None:
        """End the emulator; it starts again where it is needed."""
        agent, self._agent = self._agent, None
        if agent is not None:
            agent.close()
        self._held.close()

    def _count(self, job: Job, spec: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a job with this subject alone, its marks replaced by counts."""
        needed = {spec["file_sha256"], spec["inputs_sha256"]}
        with self._conversation() as agent:
            before = self._marks.stat().st_size
            for name, data in job.contents():
                if name.split(".")[0] in needed:
                    agent.ask({"do": "file", "name": name}, data)
            reply = agent.ask({"do": "run"}, json.dumps({**job.document, "subjects": [spec]}).encode())
            try:
                marks = parse_marks(self._marks.read_bytes()[before:].decode())
                subject = reply["subjects"][0]
                told = subject.pop("marks")
                runs = differences(marks, told["first"], told["runs"])
                harness = nearest_rank(sorted(differences(marks, told["harness_first"], told["harness_runs"])), 50)
            except (OSError, LookupError, TypeError, ValueError, AttributeError) as error:
                raise EngineError(f"{self.name}: instructions were not counted: {error!r}") from error
        subject["instructions"] = {
            "per_inference": max(nearest_rank(sorted(runs), 50) - harness, 0),
            "cpu": self._cpu,
            "runs": runs,
            "harness": harness,
        }
        return reply

    @contextmanager
    def _conversation(self) -> Iterator[AgentProcess]:
        """A process in the emulator for this block alone; where the block fails, the whole emulator ends."""
        try:
            agent = self._started()
            agent.ask({"do": "fork"})
            yield agent
            agent.ask({"do": "end"})
        except BaseException:
            self.close()
            raise

    def _started(self) -> AgentProcess:
        if self._stopped:
            raise EngineError(f"{self.name}: interrupted")
        if self._agent is None:
            self._marks = Path(self._held.enter_context(temporary_folder())) / "marks"
            plugin = f"file={self._userland.plugin},out={self._marks}"
            environment = {**PINNED, "QEMU_CPU": self._cpu, "TMPDIR": tempfile.gettempdir(), "QEMU_PLUGIN": plugin}
            self._agent = AgentProcess(
                [*fixed_addresses(), str(self._userland.python3), *bench_start_arguments(COUNT)],
                name=self.name,
                before=bench_archive(),
                environment=environment,
                reply_seconds=self._reply_seconds,
                folder=False,
            )
        return self._agent


def parse_marks(text: str) -> list[tuple[int, int]]:
    """The plugin's lines `TAG INSTRUCTIONS OTHERS`, tags 0, 1, 2, ..., as pairs. Raises ValueError on a missing tag."""
    marks = []
    for number, line in enumerate(text.splitlines()):
        tag, count, others = map(int, line.split())
        if tag != number:
            raise ValueError(f"mark {number} is missing")
        marks.append((count, others))
    return marks


def differences(marks: list[tuple[int, int]], first: int, runs: int) -> list[int]:
    """Instructions of `runs` runs with two marks each, from the mark `first` on.

    Raises:
        LookupError: beyond the last mark. ValueError: another thread executed something meanwhile.
    """
    if first < 0 or runs < 1 or first + 2 * runs > len(marks):
        raise LookupError(f"marks {first} to {first + 2 * runs} of {len(marks)}")
    counts = []
    for place in range(first, first + 2 * runs, 2):
        (start, start_others), (end, end_others) = marks[place], marks[place + 1]
        if end_others != start_others:
            raise ValueError(f"another thread executed {end_others - start_others} instructions of a run")
        counts.append(end - start)
    return counts


def fixed_addresses() -> list[str]:
    """`setarch -R`, where the system allows it: the emulator itself then lies at the same addresses every time."""
    command = shutil.which("setarch")
    if command is None:
        return []
    tried = subprocess.run([command, "-R", "true"], stderr=subprocess.DEVNULL, check=False)
    return [command, "-R"] if tried.returncode == 0 else []


def _check(job: Job) -> None:
    plan = job.plan
    for holds, told in (
        (plan.threads == 1, f"--threads {plan.threads}: instructions are counted with one thread"),
        (plan.scenario == "single-stream", f"--scenario {plan.scenario}: instructions are counted per single run"),
        (not plan.end_to_end, "--end-to-end: instructions are counted for the model alone"),
        (plan.affinity is None, "--affinity: an emulated processor has no other"),
        (plan.rounds == 1, f"--rounds {plan.rounds}: nothing drifts in a count; leave it away, or give 1"),
    ):
        if not holds:
            raise UsageError(f"{KIND}: {told}")


def open_emulated_arm64(name: str, options: TargetOptions) -> EmulatedArm64:
    """Open `emulated-arm64[:FOLDER]`.

    Raises:
        UsageError: an unknown core, or options of other targets. EngineError: the userland is not built.
    """
    folder = folder_of(name, options)
    cpu = options.cpu or DEFAULT_CPU
    if cpu not in CPUS:
        raise UsageError(unknown_name("--cpu", cpu, CPUS))
    for given, option in ((options.python, "--python"), (options.benchmark_binary, "--benchmark-binary")):
        if given is not None:
            raise UsageError(f"{option} belongs to other targets, not to {KIND}")
    return EmulatedArm64(open_userland(folder), cpu, reply_seconds=options.timeout_s or REPLY_SECONDS)


def folder_of(name: str, options: TargetOptions) -> Path | None:
    """The userland's folder that a target's name or --userland gives, None for the default one."""
    kind, colon, behind = name.partition(":")
    if kind != KIND or (colon and not behind):
        raise UsageError(f"--on {name}: give {KIND} or {KIND}:FOLDER")
    if behind and options.userland is not None and Path(behind) != options.userland:
        raise UsageError(f"--on {name}: --userland {options.userland} is another folder")
    return Path(os.path.expanduser(behind)) if behind else options.userland


def prepare_emulated_arm64(name: str, options: TargetOptions) -> str:
    """Build the userland of `emulated-arm64[:FOLDER]` unless it stands. Raises EngineError where it cannot be built."""
    return f"{name}: ready in {build_userland(folder_of(name, options)).folder}"
