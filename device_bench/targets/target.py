"""Where a job runs: the protocol, and the table of targets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from device_bench.jobs.job import Job
from edge.errors import UsageError, unknown_name

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class TargetOptions:
    """What the command line says beside the target's name; a target refuses what it cannot heed.

    Attributes:
        python: interpreter on the target. timeout_s: for a whole job; None: the target's own.
        resume: collect a job that still runs or has ended there instead of starting it.
        cpu, userland: of an emulated machine. benchmark_binary: for a device without Python.
        ssh_config: used instead of the user's. wheels: folder to prepare a device from that has no network.
        measures: False for a target that is only probed, so that what measures there need not be given.
    """

    python: str | None = None
    timeout_s: float | None = None
    resume: bool = False
    cpu: str | None = None
    userland: Path | None = None
    benchmark_binary: Path | None = None
    ssh_config: Path | None = None
    wheels: Path | None = None
    measures: bool = True


class Target(Protocol):
    """A place that runs jobs, one at a time."""

    @property
    def kind(self) -> str:
        """The key of TARGETS."""
        ...

    @property
    def name(self) -> str:
        """Leads there: `local`, `ssh://pi@host:22`."""
        ...

    @property
    def agent_sha256(self) -> str | None:
        """Of the code that measures there; None where it is not ours."""
        ...

    def probe(self) -> Mapping[str, Any]:
        """`python`, `numpy`, `engines`, `machine`, `state`, `versions`: what it is, not yet believed."""
        ...

    def run(self, job: Job, progress: Progress | None = None) -> Mapping[str, Any]:
        """The answer of `device_bench.agent.run_job.run_job`, not yet believed. Raises EngineError in one line."""
        ...

    def stop(self) -> None:
        """End the job that `run`, in another thread, waits for: `run` raises EngineError, nothing of it runs on.

        Raises EngineError where it runs on all the same, because the target cannot be reached.
        """
        ...

    def close(self) -> None:
        """Free what is held for it; nothing of ours runs there afterwards."""
        ...


# kind -> (module, function). Each opener takes (name, TargetOptions).
TARGETS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "local": ("device_bench.targets.local", "open_local"),
        "emulated-arm64": ("device_bench.targets.emulated_arm64.target", "open_emulated_arm64"),
        "adb": ("device_bench.targets.adb", "open_adb"),
        "ssh": ("device_bench.targets.ssh", "open_ssh"),
    }
)


def open_target(name: str, options: TargetOptions) -> Target:
    """Open a target by its name; nothing is started on it yet.

    Args:
        name: `local`, `ssh://pi@host:22`, `adb:SERIAL`, `emulated-arm64`.

    Raises:
        UsageError: an unknown kind, or a name that the kind refuses.
    """
    kind = name.split(":", 1)[0]
    if kind not in TARGETS:
        raise UsageError(unknown_name("target", kind, TARGETS))
    module, function = TARGETS[kind]
    opener: Callable[[str, TargetOptions], Target] = getattr(import_module(module), function)
    return opener(name, options)


# kind -> (module, function) that sets a bare target up. Each takes (name, TargetOptions) and says what is there now.
PREPARERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "emulated-arm64": ("device_bench.targets.emulated_arm64.target", "prepare_emulated_arm64"),
        "ssh": ("device_bench.targets.ssh_prepare", "prepare_ssh"),
    }
)


def prepare_target(name: str, options: TargetOptions) -> str:
    """Set a target up so that jobs run there, and say what is there now.

    Raises:
        UsageError: an unknown kind, or one that needs nothing.
    """
    kind = name.split(":", 1)[0]
    if kind not in TARGETS:
        raise UsageError(unknown_name("target", kind, TARGETS))
    if kind not in PREPARERS:
        raise UsageError(f"--prepare --on {name}: {kind} is not set up by us; known: {', '.join(PREPARERS)}")
    module, function = PREPARERS[kind]
    preparer: Callable[[str, TargetOptions], str] = getattr(import_module(module), function)
    return preparer(name, options)


# kind -> (module, function) that removes all that was ever put on a target. Each takes (name, TargetOptions).
REMOVERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "ssh": ("device_bench.targets.ssh_prepare", "remove_ssh"),
        "adb": ("device_bench.targets.adb", "remove_adb"),
    }
)


def remove_from_target(name: str, options: TargetOptions) -> str:
    """Remove what was put on a target, and say what it was. Refuses (UsageError) kinds that keep nothing there."""
    kind = name.split(":", 1)[0]
    if kind not in REMOVERS:
        raise UsageError(f"--remove-agent --on {name}: nothing is kept there; known: {', '.join(REMOVERS)}")
    module, function = REMOVERS[kind]
    remover: Callable[[str, TargetOptions], str] = getattr(import_module(module), function)
    return remover(name, options)
