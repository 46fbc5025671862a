"""ONNX files with ONNX Runtime: its CPU kernels (MLAS) and its other execution providers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy.typing as npt

from edge.engines.cpu_features import kernels_isa
from edge.engines.engine import DeviceTimes, EngineInfo, Session
from edge.engines.inputs import check_inputs
from edge.engines.kernel_sets import PROVIDERS
from edge.engines.nvidia_smi import gpu_name, read_gpus
from edge.engines.onnx_binding import DeviceBinding
from edge.engines.onnx_providers import DEFAULT, nodes_by_provider, one_line, start_session
from edge.engines.onnx_scales import with_scales
from edge.engines.onnxruntime_module import onnxruntime_module
from edge.engines.package_facts import installed_package, wheel_tag
from edge.engines.session import EngineSession
from edge.engines.table import ENGINES, check_kernels
from edge.errors import EngineError, ModelFileError, UsageError, unknown_name
from edge.installation import needs
from edge.port import Port

DTYPES: Mapping[str, str] = MappingProxyType(
    {
        "tensor(float)": "float32",
        "tensor(float16)": "float16",
        "tensor(double)": "float64",
        "tensor(uint8)": "uint8",
        "tensor(int8)": "int8",
        "tensor(int16)": "int16",
        "tensor(int32)": "int32",
        "tensor(int64)": "int64",
        "tensor(bool)": "bool",
    }
)


def open_onnxruntime(
    path: Path,
    *,
    threads: int = 1,
    kernels: str | None = None,
    batch: int | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    data: bytes | None = None,
) -> Session:
    """Load an ONNX file with ONNX Runtime, on the CPU or with another of its execution providers.

    Ports carry the scales that our own files note; other ONNX files do not state the parameters of an integer input or
    output. An open batch size is taken as 1. An output has -1 where the file leaves a size open that no input
    names too, until the first run says it.

    Args:
        batch, shapes: sizes that the file leaves open; see `edge.engines.engine.open_session`.
        data: the file's bytes, if they were read before.
        kernels: key of PROVIDERS: `mlas` (the CPU, also for None), `xnnpack`, `cuda`, `tensorrt`. A session of the
            last two is a DeviceSession.

    Raises:
        EngineError: onnxruntime or the provider is not installed or does not start, refuses the file, or a size
            of an input is still open.
        ModelFileError: the file is missing.
        UsageError: an unknown kernel set, or a shape that an input does not have.
    """
    check_kernels("onnxruntime", kernels)
    chosen = DEFAULT if kernels is None else kernels
    try:
        onnxruntime = onnxruntime_module()
    except ImportError as error:
        raise EngineError(f"onnxruntime: {needs('onnxruntime')} ({error})") from error
    if data is None and not path.is_file():
        raise ModelFileError(path, "no such file")
    session = start_session(onnxruntime, path, chosen, threads, data=data)
    kind = OnnxDeviceSession if PROVIDERS[chosen].on_gpu else OnnxSession
    inputs = input_ports(session.get_inputs(), path, batch, shapes or {})
    return kind(onnxruntime, session, path, chosen, threads, inputs)


class OnnxSession(EngineSession):
    """A loaded ONNX model; owns the runtime's session."""

    def __init__(
        self, runtime: Any, session: Any, path: Path, kernels: str, threads: int, inputs: tuple[Port, ...]
    ) -> None:
        outputs = output_ports(session, path, inputs)
        super().__init__("onnxruntime", session, with_scales(inputs, session), with_scales(outputs, session))
        self._runtime, self._path = runtime, path
        self._kernels, self._threads = kernels, threads
        self._output_names = [port.name for port in self._outputs]

    @cached_property
    def info(self) -> EngineInfo:
        """What really runs. Refuses (EngineError) a session whose provider took none of the operators."""
        return self._alone(self._info)

    def _info(self, session: Any) -> EngineInfo:
        provider, version = PROVIDERS[self._kernels], str(self._runtime.__version__)
        counted = nodes_by_provider(self._runtime, session, self._path, self._kernels, self._inputs)
        told = session.get_provider_options().get(provider.names[0], {})
        if counted and not counted[provider.names[0]]:
            others = ", ".join(f"{name}: {count}" for name, count in sorted(counted.items()))
            raise EngineError(f"onnxruntime: {self._path}: {provider.names[0]} took none of its operators ({others})")
        package = installed_package(ENGINES["onnxruntime"].packages, version)
        return EngineInfo(
            engine="onnxruntime",
            version=version,
            kernels=self._kernels,
            delegate=provider.names[0],
            operators=None if counted is None else sum(counted.values()),
            delegated_operators=None if counted is None else counted[provider.names[0]],
            threads=self._threads,
            package=package,
            wheel_tag=wheel_tag(package),
            kernels_isa=kernels_isa(provider.family),
            provider_options={str(name): str(value) for name, value in told.items()},
            device=gpu_name(read_gpus()) if provider.on_gpu else None,
        )

    def _compute(self, model: Any, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        feed = {port.name: array for port, array in zip(self._inputs, inputs, strict=True)}
        try:
            found = list(model.run(self._output_names, feed))
        except Exception as error:  # the runtime's exceptions share no base class below Exception
            raise EngineError(f"onnxruntime: the model failed: {one_line(error)}") from error
        if any(-1 in port.shape for port in self._outputs):
            told = zip(self._outputs, found, strict=True)
            self._outputs = tuple(replace(port, shape=array.shape) for port, array in told)
        return found

    def prepared(self, inputs: Sequence[npt.NDArray[Any]]) -> Callable[[], list[npt.NDArray[Any]]]:
        """The inputs checked once; see `edge.engines.engine.PreparedSession`. A failing model raises as it does."""
        check_inputs("onnxruntime", self._inputs, inputs)
        feed = {port.name: array for port, array in zip(self._inputs, inputs, strict=True)}
        run, names = self._alone(lambda session: session.run), self._output_names
        return lambda: list(run(names, feed))


class OnnxDeviceSession(OnnxSession):
    """A model in a GPU's memory. `run` copies in and out; `run_timed` tells the parts."""

    _bound: DeviceBinding | None = None

    def run_timed(self, inputs: Sequence[npt.NDArray[Any]]) -> DeviceTimes:
        """Run once, transfers and compute apart; see `DeviceBinding`. Refuses (EngineError) other shapes or dtypes."""
        check_inputs("onnxruntime", self._inputs, inputs)
        return self._alone(lambda session: self._timed(session, inputs))

    def _timed(self, session: Any, inputs: Sequence[npt.NDArray[Any]]) -> DeviceTimes:
        try:
            if self._bound is None:
                self._bound = DeviceBinding(self._runtime, session, self._inputs, self._outputs, device="cuda")
            return self._bound.run(inputs)[1]
        except Exception as error:  # the runtime's exceptions share no base class below Exception
            raise EngineError(f"onnxruntime: the model failed: {one_line(error)}") from error


def input_ports(
    values: Sequence[Any], path: Path, batch: int | None, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[Port, ...]:
    """The inputs of a runtime's session with all their sizes: the file's, and where it leaves one open the given one.

    Raises:
        UsageError: a shape for an input that is not there, or that the file contradicts. EngineError: a size that is
            still open, or an input that is no plain tensor.
    """
    ports = {value.name: _port(value, path) for value in values}
    if unknown := [name for name in shapes if name not in ports]:
        raise UsageError(f"onnxruntime: {path}: {unknown_name('input', unknown[0], ports)}")
    found = []
    for port in ports.values():
        given = shapes.get(port.name)
        said = "" if given is None else "x".join(str(size) for size in given)
        if given is not None and len(given) != len(port.shape):
            raise UsageError(
                f"onnxruntime: {path}: input '{port.name}' has {len(port.shape)} axes, --input-shape says {said}"
            )
        sizes = []
        for axis, size in enumerate(port.shape):
            asked = given[axis] if given is not None else (batch or 1) if axis == 0 else None
            if size == -1 and asked is None:
                raise EngineError(
                    f"onnxruntime: {path}: input '{port.name}' has an open size on axis {axis}; say it with "
                    f"--input-shape {port.name}=SIZExSIZEx..., or export it with fixed sizes"
                )
            if given is not None and size not in (-1, asked):
                told = f"input '{port.name}' has size {size} on axis {axis}, --input-shape says {said}"
                raise UsageError(f"onnxruntime: {path}: {told}")
            sizes.append(asked if size == -1 and asked is not None else size)
        found.append(replace(port, shape=tuple(sizes)))
    return tuple(found)


def output_ports(session: Any, path: Path, inputs: tuple[Port, ...]) -> tuple[Port, ...]:
    """The outputs of a runtime's session: a size that has a name is that of the input which names it so.

    A nameless first dimension is the batch; what else is open is -1.
    """
    given = session.get_inputs()
    named = {
        name: size
        for value, port in zip(given, inputs, strict=True)
        for name, size in zip(value.shape, port.shape, strict=True)
        if isinstance(name, str)
    }
    batch = next((port.shape[0] for port in inputs if port.shape), 1)
    found = []
    for value in session.get_outputs():
        port = _port(value, path)
        known = [
            named.get(name, -1) if size == -1 else size for name, size in zip(value.shape, port.shape, strict=True)
        ]
        if known and known[0] == -1 and not isinstance(value.shape[0], str):
            known[0] = batch
        found.append(replace(port, shape=tuple(known)))
    return tuple(found)


def _port(value: Any, path: Path) -> Port:
    """A port as the file states it, -1 where it leaves a size open."""
    if value.type not in DTYPES:
        raise EngineError(f"onnxruntime: {path}: '{value.name}' is a {value.type}; only plain tensors can be run")
    sizes = (size if isinstance(size, int) and size >= 0 else -1 for size in value.shape)
    return Port(name=value.name, shape=tuple(sizes), dtype=DTYPES[value.type])
