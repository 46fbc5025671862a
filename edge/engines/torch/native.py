"""Sessions of torch's native kernel sets: on the CPU, and on a device with memory of its own."""

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edge.engines.engine import DeviceTimes, EngineInfo, Session
from edge.engines.inputs import check_inputs
from edge.engines.kernel_sets import TORCH
from edge.engines.package_facts import wheel_tag
from edge.engines.session import EngineSession
from edge.engines.torch.kernels import check_here, torch_options
from edge.engines.torch.module import REAL_DTYPES, GraphModule
from edge.engines.torch.timing import CudaEvents, Events, device_times
from edge.errors import EngineError, UnsupportedError
from edge.graph.graph import Graph
from edge.port import Port

Arrays = Sequence[npt.NDArray[Any]]
Tensors = tuple[torch.Tensor, ...]
Module = Callable[..., Tensors]


def open_native(path: Path, read: Callable[[Path], Graph], kernels: str, threads: int) -> Session:
    """Load a float file with a native kernel set; a compiled one is compiled here, so that no run carries it.

    Raises:
        EngineError: the kernel set cannot run here, the file is quantized, or torch fails with it.
        UnsupportedError: an operator without a float formula, by name.
    """
    check_here(kernels)
    chosen = TORCH[kernels]
    graph = read(path)
    try:
        module = GraphModule(graph, REAL_DTYPES[chosen.precision])
    except UnsupportedError as error:
        raise EngineError(f"torch: {path}: kernel set '{kernels}': {error}") from error
    with _failing_as_an_engine():
        session = (CpuSession if chosen.device == "cpu" else DeviceMemorySession)(graph, module, kernels, threads)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of its own modules while it compiles
            session.run([np.zeros(port.shape, port.dtype) for port in session.inputs])
    except EngineError as error:
        raise EngineError(f"{error}; {path} with kernel set '{kernels}'") from error
    return session


class CpuSession(EngineSession):
    """A module on the CPU. Arrays are handed over without a copy where their dtype and layout allow it."""

    def __init__(self, graph: Graph, module: GraphModule, kernels: str, threads: int) -> None:
        self._operators = len(graph.operators)
        self._kernels, self._threads = kernels, threads
        chosen = TORCH[kernels]
        self._real = REAL_DTYPES[chosen.precision]
        self._format = torch.channels_last if chosen.channels_last else torch.contiguous_format
        module.to(device=chosen.device)
        if chosen.channels_last:
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._constants = {value.untyped_storage().data_ptr() for value in (*module.parameters(), *module.buffers())}
        inputs, outputs = (tuple(_port(graph, name) for name in names) for names in (graph.inputs, graph.outputs))
        super().__init__("torch", _compiled(module) if chosen.compiled else module, inputs, outputs)

    @property
    def info(self) -> EngineInfo:
        """What really runs."""
        chosen = TORCH[self._kernels]
        on_cpu = chosen.device == "cpu"
        return EngineInfo(
            engine="torch",
            version=str(torch.__version__),
            kernels=self._kernels,
            delegate=None,
            operators=self._operators,
            delegated_operators=0,
            threads=self._threads,
            package="torch",
            wheel_tag=wheel_tag("torch"),
            kernels_isa=torch.backends.cpu.get_cpu_capability().lower() if on_cpu else None,
            provider_options=torch_options(chosen),
            device=None if on_cpu else torch.cuda.get_device_name(0),
            precision=chosen.precision,
        )

    def _compute(self, model: Module, inputs: Arrays) -> list[npt.NDArray[Any]]:
        return self._bound(model, inputs)()

    def prepared(self, inputs: Arrays) -> Callable[[], list[npt.NDArray[Any]]]:
        """The inputs checked once and taken as tensors; see `edge.engines.engine.PreparedSession`."""
        check_inputs("torch", self._inputs, inputs)
        return self._alone(lambda module: self._bound(module, inputs))

    def _bound(self, module: Module, inputs: Arrays) -> Callable[[], list[npt.NDArray[Any]]]:
        given = [_tensor(array) for array in inputs]
        borrowed = self._constants | {value.untyped_storage().data_ptr() for value in given}

        def run() -> list[npt.NDArray[Any]]:
            with _failing_as_an_engine(), torch.inference_mode():
                made = self._computed(module, given)
            return [_own_array(value, borrowed) for value in made]

        return run

    def _computed(self, module: Module, given: Sequence[torch.Tensor]) -> Tensors:
        """Outputs in the files' dtypes, of inputs on the module's device."""
        made = module(*(self._converted(value) for value in given))
        dtypes = (_torch_dtype(port) for port in self._outputs)
        return tuple(value.to(dtype) for value, dtype in zip(made, dtypes, strict=True))

    def _converted(self, value: torch.Tensor) -> torch.Tensor:
        converted = value.to(self._real) if value.is_floating_point() else value
        return converted.contiguous(memory_format=self._format) if converted.dim() == 4 else converted


class DeviceMemorySession(CpuSession):
    """A module on a device with memory of its own; the host's side of every transfer is pinned.

    Copying an array into pinned memory, and an answer out of it, is work of the host: `run` does it, `run_timed` does
    it before the first and after the last mark. Changing the dtype is the device's, and counts as compute.
    """

    def __init__(
        self, graph: Graph, module: GraphModule, kernels: str, threads: int, *, events: Events | None = None
    ) -> None:
        super().__init__(graph, module, kernels, threads)
        device = torch.device(TORCH[kernels].device)
        pinned = device.type == "cuda"
        self._events = CudaEvents() if events is None else events
        self._staged = [torch.empty(port.shape, dtype=_torch_dtype(port), pin_memory=pinned) for port in self._inputs]
        self._there = [torch.empty(port.shape, dtype=_torch_dtype(port), device=device) for port in self._inputs]
        self._back = [torch.empty(port.shape, dtype=_torch_dtype(port), pin_memory=pinned) for port in self._outputs]
        self._made: Tensors = ()

    def _bound(self, module: Module, inputs: Arrays) -> Callable[[], list[npt.NDArray[Any]]]:
        """The whole way of every call: into pinned memory, there, computed, back, and a copy that is the caller's."""

        def run() -> list[npt.NDArray[Any]]:
            self._timed(module, inputs)
            return [np.array(value.numpy()) for value in self._back]

        return run

    def run_timed(self, inputs: Arrays) -> DeviceTimes:
        """Run once, transfers and compute apart. Refuses (EngineError) other shapes or dtypes."""
        check_inputs("torch", self._inputs, inputs)
        return self._alone(lambda module: self._timed(module, inputs))

    def _timed(self, module: Module, inputs: Arrays) -> DeviceTimes:
        for staged, array in zip(self._staged, inputs, strict=True):
            staged.copy_(_tensor(array))
        with _failing_as_an_engine(), torch.inference_mode():
            return device_times(self._events, self._copy_in, lambda: self._compute_there(module), self._copy_out)

    def _copy_in(self) -> None:
        for there, staged in zip(self._there, self._staged, strict=True):
            there.copy_(staged, non_blocking=True)

    def _compute_there(self, module: Module) -> None:
        self._made = self._computed(module, self._there)

    def _copy_out(self) -> None:
        for back, value in zip(self._back, self._made, strict=True):
            back.copy_(value, non_blocking=True)


@contextmanager
def _failing_as_an_engine() -> Iterator[None]:
    """A kernel that is missing for a dtype, a device without memory, whatever a compiler says: one line of it."""
    try:
        yield
    except Exception as error:  # torch's and its compilers' exceptions share no base class below Exception
        told = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EngineError(f"torch: the model failed: {told}") from error


def _compiled(module: GraphModule) -> Callable[..., Tensors]:
    """torch.compile for fixed shapes, without a fall-back; models of one process do not share its recompile limit."""
    known = inspect.signature(torch.compile).parameters
    apart: dict[str, Any] = {"isolate_recompiles": True} if "isolate_recompiles" in known else {}
    compiled: Callable[..., Tensors] = torch.compile(module, fullgraph=True, dynamic=False, **apart)
    return compiled


def _own_array(value: torch.Tensor, borrowed: set[int]) -> npt.NDArray[Any]:
    """An array that is the caller's: copied where it may be the input's memory or a constant's."""
    shared = value.untyped_storage().data_ptr() in borrowed
    array: npt.NDArray[Any] = value.contiguous().numpy()
    return np.array(array) if shared else array


def _tensor(array: npt.NDArray[Any]) -> torch.Tensor:
    """The array's memory as a tensor; a copy of what torch cannot take: read-only memory, negative strides."""
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def _torch_dtype(port: Port) -> torch.dtype:
    dtype: torch.dtype = torch.from_numpy(np.zeros(0, port.dtype)).dtype
    return dtype


def _port(graph: Graph, name: str) -> Port:
    tensor = graph.tensors[name]
    return Port(name=name, shape=tensor.shape, dtype=tensor.dtype)
