"""A model file executed by torch: integers by the integer simulation, floats by torch's own functions.

`aten` takes every file: an integer graph runs in the integer simulation, a float graph by the float run's formulas.
The other kernel sets take float graphs and run them as a person would in torch; see `edge.runtime.torch_module`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from edge.errors import EngineError, UsageError, unknown_name
from edge.graph.graph import Graph, Tensor
from edge.graph.model_file import read_model
from edge.quantization.float_run import FloatRun
from edge.quantization.integer import IntegerSimulation
from edge.runtime.engine import EngineInfo, Port, Session
from edge.runtime.inputs import check_inputs
from edge.runtime.package_facts import wheel_tag
from edge.runtime.torch_kernels import KERNELS
from edge.runtime.torch_native import open_native

ATEN = "aten"
SUFFIXES = (".onnx", ".tflite")
Execute = Callable[[Sequence[npt.NDArray[Any]]], list[npt.NDArray[Any]]]


def open_torch(
    path: Path,
    *,
    threads: int = 1,
    kernels: str | None = None,
    batch: int | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Session:
    """Load an ONNX (an artifact's `source.onnx`) or TFLite file as a graph that torch executes.

    The thread count is torch's own and holds for the whole process.

    Args:
        batch, shapes: sizes that an ONNX file leaves open; see `edge.runtime.engine.open_session`.
        kernels: `aten` (also for None), or key of `edge.runtime.torch_kernels.KERNELS`; those on a GPU give a
            DeviceSession.

    Raises:
        EngineError: neither an `.onnx` nor a `.tflite` file; no CUDA device, no C++ compiler, a quantized file, where
            the kernel set needs or refuses it.
        ModelFileError: the file does not hold.
        UnsupportedError: an operator that has no formula here, by name.
        UsageError: an unknown kernel set.
    """
    if kernels is not None and kernels != ATEN and kernels not in KERNELS:
        raise UsageError(unknown_name("kernel set of torch", kernels, (ATEN, *KERNELS)))
    if path.suffix not in SUFFIXES:
        raise EngineError(f"torch: {path}: reads {' and '.join(SUFFIXES)} files")
    torch.set_num_threads(threads)
    read = partial(read_model, batch=batch or 1, shapes=shapes)
    if kernels is None or kernels == ATEN:
        return TorchSession(read(path), threads)
    return open_native(path, read, kernels, threads)


class TorchSession:
    """A graph with the function that executes it."""

    def __init__(self, graph: Graph, threads: int) -> None:
        self._inputs = tuple(port_of_tensor(graph.tensors[name]) for name in graph.inputs)
        self._outputs = tuple(port_of_tensor(graph.tensors[name]) for name in graph.outputs)
        self._operators = len(graph.operators)
        self._threads = threads
        quantized = any(tensor.quantization is not None for tensor in graph.tensors.values())
        self._execute: Execute = (IntegerSimulation(graph) if quantized else FloatRun(graph)).run

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The graph's inputs, in order."""
        return self._inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        """The graph's outputs, in order."""
        return self._outputs

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

    def run(self, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Run once; arrays as in the file. Refuses (EngineError) other shapes or dtypes."""
        check_inputs("torch", self._inputs, inputs)
        with torch.inference_mode():
            return self._execute(inputs)


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
