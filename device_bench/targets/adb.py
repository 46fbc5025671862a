"""An Android device over `adb`: the published benchmark_model runs there; it needs no Python."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from device_bench.agent.run_job import JOB_VERSION
from device_bench.jobs.job import Job
from device_bench.targets.adb_client import AdbClient, choose_device, find_adb
from device_bench.targets.android_facts import android_machine, android_state
from device_bench.targets.benchmark_model import KERNELS, NEEDED, arguments, parse
from device_bench.targets.target import Progress, TargetOptions
from edge.artifact.manifest import file_sha256
from edge.errors import EngineError, UsageError
from edge.files.leftovers import temporary_folder
from edge.port import port_of

KIND = "adb"
FOLDER = "/data/local/tmp/edge-deploy"
ROUND_SECONDS = 600.0
GRACE_SECONDS = 20.0
ELF_AARCH64 = 183
ABI = "arm64-v8a"


class AdbTarget:
    """A device and the binary that measures on it. Every round is a process of its own: subjects run in turn.

    Args:
        binary: None for a device that is only probed.
    """

    kind = KIND
    agent_sha256: str | None = None

    def __init__(self, client: AdbClient, binary: Path | None, *, round_seconds: float = ROUND_SECONDS) -> None:
        self._client, self._binary, self._seconds = client, binary, round_seconds
        self._tool, self._stopped = "", False
        self.name = client.name

    def probe(self) -> Mapping[str, Any]:
        """What the device is."""
        self._connected()
        shell = self._client.shell
        return {"engines": ["litert"], "machine": android_machine(shell), "state": android_state(shell)}

    def run(self, job: Job, progress: Progress | None = None) -> Mapping[str, Any]:
        """Measure every subject in every round; the answer has averages instead of samples."""
        self._check(job)
        if self._binary is None:
            raise UsageError(_unnamed(self.name))
        self._connected()
        shell = self._client.shell
        abi = shell("getprop ro.product.cpu.abi").strip()
        if abi != ABI:
            raise EngineError(f"{self.name}: the device runs {abi or 'an unknown architecture'}; {ABI} is needed")
        sha256 = file_sha256(self._binary)
        tool = self._tool = self._put(self._binary, sha256, "benchmark_model", mode="755")
        graphs = {name: self._model(name, job) for name in job.files if name.endswith(".tflite")}
        machine, states = android_machine(shell), [android_state(shell)]
        specs = job.document["subjects"]
        seen: list[list[dict[str, Any]]] = [[] for _ in specs]
        for done in range(job.plan.rounds):
            for place, spec in enumerate(specs):
                seen[place].append(self._measure(job, spec, tool, graphs[f"{spec['file_sha256']}.tflite"]))
            states.append(android_state(shell))
            if progress is not None:
                progress(done + 1, job.plan.rounds)
        return {
            "job_version": JOB_VERSION,
            "machine": machine,
            "states": states,
            "versions": {"benchmark_model": sha256},
            "time_utc": states[-1]["time_utc"],
            "subjects": [
                _subject(spec, rounds, job.plan.threads, machine["architecture"], sha256, job.plan.affinity)
                for spec, rounds in zip(specs, seen, strict=True)
            ],
        }

    def stop(self) -> None:
        """End the binary on the device. Refuses (EngineError) a device that does not answer."""
        self._stopped = True
        if self._tool:
            self._client.shell(f"pkill -f '[{self._tool[0]}]{self._tool[1:]}' || true")  # not this very shell

    def close(self) -> None:
        """Nothing of ours runs on the device between rounds."""

    def _connected(self) -> None:
        choose_device(self._client.program, self._client.serial, self._client.environment)

    def _check(self, job: Job) -> None:
        """Refuse (UsageError) what benchmark_model cannot do."""
        if job.plan.scenario != "single-stream" or job.plan.end_to_end:
            raise UsageError(f"{self.name}: benchmark_model measures single-stream only, without --end-to-end")
        for spec in job.document["subjects"]:
            if spec["engine"] != "litert" or spec["format"] != "tflite":
                raise UsageError(f"{self.name}: {spec['engine']}: benchmark_model runs litert and .tflite files only")
            if spec["kernels"] not in KERNELS:
                raise UsageError(f"{self.name}: {spec['kernels']}: benchmark_model has the kernels xnnpack and builtin")

    def _model(self, name: str, job: Job) -> str:
        sha256 = name.split(".")[0]
        held = job.files[name]
        if isinstance(held, Path):
            return self._put(held, sha256, "model.tflite", mode="644")
        with temporary_folder() as folder:
            path = Path(folder) / "model.tflite"
            path.write_bytes(held)
            return self._put(path, sha256, "model.tflite", mode="644")

    def _put(self, source: Path, sha256: str, name: str, *, mode: str) -> str:
        """Path of a file on the device, pushed unless it lies there with this hash."""
        folder = f"{FOLDER}/{sha256}"
        path, part = f"{folder}/{name}", f"{folder}/{name}.part"
        if self._sha256(path) == sha256:
            return path
        self._client.shell(f"mkdir -p {folder}")
        try:
            self._client.push(source, part)
            found = self._sha256(part)
            if found != sha256:
                raise EngineError(f"{self.name}: {source.name} arrived with the hash {found}, not {sha256}")
            self._client.shell(f"chmod {mode} {part} && mv {part} {path}")
        except EngineError as error:
            self._drop(part, error)
        return path

    def _drop(self, part: str, error: EngineError) -> None:
        """Leave no half file behind where the device still answers; the first error is the one that counts."""
        try:
            self._client.shell(f"rm -f {part}")
        except EngineError as second:
            raise error from second
        raise error

    def _sha256(self, path: str) -> str:
        return self._client.shell(f"sha256sum {path} 2>/dev/null || true").partition(" ")[0].strip()

    def _measure(self, job: Job, spec: Mapping[str, Any], tool: str, graph: str) -> dict[str, Any]:
        """One round of one subject."""
        if self._stopped:
            raise EngineError(f"{self.name}: interrupted")
        flags = arguments(job.plan, KERNELS[spec["kernels"]] or "", graph, self._seconds)
        words = ["timeout", f"{self._seconds:.0f}"]  # on the device: nothing runs on when the cable is pulled
        if job.plan.affinity is not None:
            words += ["taskset", f"{sum(1 << number for number in job.plan.affinity):x}"]
        command = f"{shlex.join([*words, tool, *flags])} 2>&1"
        text = self._client.shell(command, seconds=self._seconds + GRACE_SECONDS)
        return parse(text, f"{self.name}: {spec['name']}")


def _subject(
    spec: Mapping[str, Any],
    rounds: list[dict[str, Any]],
    threads: int,
    architecture: str,
    sha256: str,
    affinity: tuple[int, ...] | None,
) -> dict[str, Any]:
    ports = spec["ports"] or [[], []]
    inputs, outputs = ([port_of(port).plain for port in side] for side in ports)
    return {
        "info": {
            "engine": "litert",
            "version": f"benchmark_model {sha256[:12]}",
            "kernels": KERNELS[spec["kernels"]],
            "delegate": "XNNPACK" if KERNELS[spec["kernels"]] == "xnnpack" else None,
            "operators": None,
            "delegated_operators": None,
            "threads": threads,
            "machine": architecture,
            "package": "benchmark_model",
            "affinity": affinity,
        },
        "inputs": inputs,
        "outputs": outputs,
        "cold": {"import_ns": None, "load_ns": rounds[0]["load_ns"], "first_inference_ns": rounds[0]["first_ns"]},
        "warmup": {
            "runs": sum(seen["warmup"]["runs"] for seen in rounds),
            "duration_ns": sum(seen["warmup"]["runs"] * seen["warmup"]["mean_ns"] for seen in rounds),
            "stable": False,
        },
        "samples_ns": [],
        "aggregates": [seen["measured"] for seen in rounds],
        "transfers": None,
        "memory": {},
        "selftest": None,
        "end_to_end": None,
    }


def open_adb(name: str, options: TargetOptions, environment: Mapping[str, str] | None = None) -> AdbTarget:
    """`adb` (the only device) or `adb:SERIAL`.

    Raises:
        UsageError: no --benchmark-binary, one that is no such file, or an option that has no meaning here.
        EngineError: adb is not installed, or the device is not one.
    """
    for word, value in (("--python", options.python), ("--cpu", options.cpu), ("--userland", options.userland)):
        if value is not None:
            raise UsageError(f"{word}: {name} has no such thing; benchmark_model measures there")
    binary = options.benchmark_binary
    if binary is not None:
        _check_binary(binary)
    elif options.measures:
        raise UsageError(_unnamed(name))
    return AdbTarget(_client(name, environment), binary, round_seconds=options.timeout_s or ROUND_SECONDS)


def _unnamed(name: str) -> str:
    return f"--on {name}: name the program that measures with --benchmark-binary: {NEEDED}"


def remove_adb(name: str, options: TargetOptions, environment: Mapping[str, str] | None = None) -> str:
    """Remove everything of ours from a device, and say so."""
    client = _client(name, environment)
    client.shell(f"rm -rf {FOLDER}")
    return f"{client.name}: {FOLDER} is removed"


def _client(name: str, environment: Mapping[str, str] | None) -> AdbClient:
    program, serial = find_adb(), name.partition(":")[2] or None
    return AdbClient(program=program, serial=choose_device(program, serial, environment), environment=environment)


def _check_binary(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(20)
    except OSError as error:
        raise UsageError(f"--benchmark-binary {path}: cannot be read: {error.strerror}; it must be {NEEDED}") from error
    if start.startswith(b"\x7fELF") and int.from_bytes(start[18:20], "little") != ELF_AARCH64:
        raise UsageError(f"--benchmark-binary {path}: is built for another processor; it must be {NEEDED}")
