"""A model file executed by torch: integers by the integer simulation, floats by torch's own functions.

`aten` takes every file: an integer graph runs in the integer simulation, a float graph by the float run's formulas.
The other kernel sets take float graphs and run them as a person would in torch; see `edge.engines.torch.module`.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from edge.engines.engine import EngineInfo, Session
from edge.engines.package_facts import wheel_tag
from edge.engines.session import EngineSession
from edge.engines.table import ENGINES, check_kernels
from edge.engines.torch.native import open_native
from edge.errors import EngineError
from edge.execution.float_run import FloatRun
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph, Tensor
from edge.graph.importers.model_file import read_model
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite
from edge.port import Port

ATEN = ENGINES["torch"].default_kernels
Execute = Callable[[Sequence[npt.NDArray[Any]]], list[npt.NDArray[Any]]]
# That imported torch: a fork of it lacks the threads that OpenMP counts on, and would wait for them.
PROCESS = os.getpid()


def open_torch(
    path: Path,
    *,
    threads: int = 1,
    kernels: str | None = None,
    batch: int | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    data: bytes | None = None,
) -> Session:
    """Load an ONNX (an artifact's `source.onnx`) or TFLite file as a graph that torch executes.

    The thread count is torch's own and holds for the whole process.

    Args:
        batch, shapes: sizes that an ONNX file leaves open; see `edge.engines.engine.open_session`.
        data: the file's bytes, if they were read before.
        kernels: key of `edge.engines.kernel_sets.TORCH`; None is `aten`; those on a GPU give a
            DeviceSession.

    Raises:
        EngineError: neither an `.onnx` nor a `.tflite` file; no CUDA device, no C++ compiler, a quantized file, where
            the kernel set needs or refuses it; several threads in a fork.
        ModelFileError: the file does not hold.
        UnsupportedError: an operator that has no formula here, by name.
        UsageError: an unknown kernel set.
    """
    check_kernels("torch", kernels)
    if path.suffix not in (".onnx", ".tflite"):
        raise EngineError(f"torch: {path}: reads .onnx and .tflite files")
    if threads > 1 and os.getpid() != PROCESS:
        raise EngineError(
            f"torch: {threads} threads do not work in a fork of a process that had torch; take 1, or a fresh process "
            "(multiprocessing's 'spawn')"
        )
    torch.set_num_threads(threads)

    def read(path: Path) -> Graph:
        if data is None:
            return read_model(path, batch=batch or 1, shapes=shapes)
        return read_onnx(data, batch=batch or 1, shapes=shapes) if path.suffix == ".onnx" else read_tflite(data)

    if kernels is None or kernels == ATEN:
        return TorchSession(read(path), threads)
    return open_native(path, read, kernels, threads)


class TorchSession(EngineSession):
    """A graph with the function that executes it."""

    def __init__(self, graph: Graph, threads: int) -> None:
        quantized = any(tensor.quantization is not None for tensor in graph.tensors.values())
        execute: Execute = (IntegerSimulation(graph) if quantized else FloatRun(graph)).run
        ports = [
            tuple(port_of_tensor(graph.tensors[name]) for name in names) for names in (graph.inputs, graph.outputs)
        ]
        super().__init__("torch", execute, ports[0], ports[1])
        self._operators = len(graph.operators)
        self._threads = threads

    @property
    def info(self) -> EngineInfo:
        """What really runs."""
        return EngineInfo(
            engine="torch",
            version=str(torch.__version__),
            kernels=ATEN,
            delegate=None,
            operators=self._operators,
            delegated_operators=0,
            threads=self._threads,
            package="torch",
            wheel_tag=wheel_tag("torch"),
            kernels_isa=torch.backends.cpu.get_cpu_capability().lower(),
        )

    def _compute(self, model: Execute, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        with torch.inference_mode():
            return model(inputs)


def port_of_tensor(tensor: Tensor) -> Port:
    """The port of a graph's input or output."""
    if tensor.quantization is None:
        return Port(name=tensor.name, shape=tensor.shape, dtype=tensor.dtype)
    return Port(
        name=tensor.name,
        shape=tensor.shape,
        dtype=tensor.dtype,
        scale=float(tensor.quantization.scale[0]),
        zero_point=int(tensor.quantization.zero_point[0]),
    )
