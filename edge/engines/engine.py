"""What runs a model file: the protocol, and how one is opened by the table of engines."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy.typing as npt

from edge.engines.cpu_features import affinity
from edge.engines.emulation import emulator
from edge.engines.table import DEVICE_ENGINES, ENGINES
from edge.errors import UsageError, unknown_name
from edge.port import Port


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """What really runs: never what was asked for.

    Attributes:
        engine: key of ENGINES. version: of the runtime package.
        kernels: the kernel set: `xnnpack`, `builtin`, `reference`, `mlas`, `aten`, `eager`, `cuda`, `none` and others.
        delegate: name of the delegate or provider, None without one.
        operators, delegated_operators: nodes of the file (ONNX Runtime: of its own graph when it deals them out), and
            how many of them the delegate or provider took; None if unknown.
        threads: threads the kernels may use.
        machine: of the process that runs it, as `platform.machine()` says: `x86_64`, `aarch64`.
        emulated: the program that plays this machine (`qemu-aarch64`), None on a real one, or where it cannot be told.
        package: the installed package behind the engine (`ai-edge-litert`). wheel_tag: of its wheel. None if unknown.
        kernels_isa: the widest instruction set that the kernels can use on this processor (see `cpu_features`); None
            if unknown.
        affinity: processors that the process may run on, when the model was loaded; None where the system does not say.
        provider_options: what a provider or framework says of its settings, by name.
        device: name of the GPU; None on the CPU.
        precision: what real numbers are computed in (`float32`, `float16`, `bfloat16`), where the engine decides it;
            None where the file alone does.
    """

    engine: str
    version: str
    kernels: str
    delegate: str | None
    operators: int | None
    delegated_operators: int | None
    threads: int
    machine: str = field(default_factory=platform.machine)
    emulated: str | None = field(default_factory=emulator)
    package: str | None = None
    wheel_tag: str | None = None
    kernels_isa: str | None = None
    affinity: tuple[int, ...] | None = field(default_factory=affinity)
    provider_options: Mapping[str, str] = field(default_factory=dict, hash=False)
    device: str | None = None
    precision: str | None = None


class Session(Protocol):
    """A loaded model. `run` returns only when the results are ready; arrays in and out are raw, as in the file.

    `run` may be called from any thread of the process that loaded the model; a fork loads its own. Every engine's
    session is an `edge.engines.session.EngineSession`.
    """

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The model's inputs, in order."""
        ...

    @property
    def outputs(self) -> tuple[Port, ...]:
        """The model's outputs, in order."""
        ...

    @property
    def info(self) -> EngineInfo:
        """What really runs."""
        ...

    def run(self, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Run once. The returned arrays are the caller's: a later run does not change them."""
        ...

    def close(self) -> None:
        """Free what the runtime holds; `run` is refused from then on. Twice is as good as once."""
        ...


@dataclass(frozen=True, kw_only=True)
class DeviceTimes:
    """One run on a device with memory of its own: by its events (torch), or between synchronizations (ONNX Runtime).

    Attributes:
        to_device_ns, to_host_ns: copying the inputs there and the outputs back. compute_ns: between the two.
    """

    to_device_ns: int
    compute_ns: int
    to_host_ns: int


@runtime_checkable
class DeviceSession(Session, Protocol):
    """A session on a device with memory of its own. `run` copies in, computes and copies out, as any session does."""

    def run_timed(self, inputs: Sequence[npt.NDArray[Any]]) -> DeviceTimes:
        """Run once, transfers and compute apart; returns when the device has finished. The outputs are dropped."""
        ...


class PreparedSession(Session, Protocol):
    """A session that can check and bind one set of inputs, so that every later call is the runtime's work alone.

    For a measuring loop, which has the model for itself: unlike `run`, what `prepared` gives takes no lock.
    """

    def prepared(self, inputs: Sequence[npt.NDArray[Any]]) -> Callable[[], list[npt.NDArray[Any]]]:
        """A function that hands these inputs over, runs, and gives the outputs, as `run` does without its checks."""
        ...


Opener = Callable[..., Session]


def installed_engines() -> tuple[str, ...]:
    """The device engines whose runtime is installed here, the preferred one first."""
    return tuple(name for name in DEVICE_ENGINES if find_spec(ENGINES[name].runtime.partition(".")[0]) is not None)


def open_session(
    engine: str,
    path: str | Path,
    *,
    threads: int = 1,
    kernels: str | None = None,
    batch: int | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    data: bytes | None = None,
) -> Session:
    """Load a model file with an engine.

    Args:
        engine: key of ENGINES.
        path: a `.tflite` or `.onnx` file, or for `torch` an artifact's `source.onnx`.
        threads: at least 1.
        kernels: a kernel set that the engine offers (litert: `xnnpack`, `builtin`, `reference`); None is its default.
        batch: what an open first dimension of an ONNX file becomes; None: 1.
        shapes: input name -> its shape, for sizes that an ONNX file leaves open.
        data: the file's bytes, where they were read and checked before; the file is not read again then.

    Raises:
        UsageError: unknown engine, threads below 1, sizes for an engine that runs files of fixed sizes only.
        EngineError: the runtime is not installed or refuses the file.
    """
    if engine not in ENGINES:
        raise UsageError(unknown_name("engine", engine, ENGINES))
    if threads < 1:
        raise UsageError(f"threads must be at least 1, not {threads}")
    row = ENGINES[engine]
    module, function = row.opener
    opener: Opener = getattr(import_module(module), function)
    if data is not None and not row.computes_nothing:
        return opener(Path(path), threads=threads, kernels=kernels, data=data)
    if batch is None and not shapes:
        return opener(Path(path), threads=threads, kernels=kernels)
    if not row.takes_sizes:
        raise UsageError(f"{path}: --batch and --input-shape are for ONNX files with open sizes; {engine} runs none")
    return opener(Path(path), threads=threads, kernels=kernels, batch=batch, shapes=shapes)
