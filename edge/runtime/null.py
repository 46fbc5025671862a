"""The null engine: the same protocol and the same arrays, and no computation. It measures the harness itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.artifact import MANIFEST_NAME, TensorInfo, parse_manifest
from edge.errors import EngineError, UsageError, unknown_name
from edge.runtime.engine import EngineInfo, Port, Session
from edge.runtime.inputs import check_inputs

KERNELS = ("none",)


def open_null(path: Path, *, threads: int = 1, kernels: str | None = None) -> Session:
    """Take the ports of an artifact's model file from the manifest beside it; outputs are zeros.

    Raises:
        EngineError: there is no manifest beside the file, or it does not list the file.
        UsageError: a kernel set other than `none`.
    """
    if kernels is not None and kernels not in KERNELS:
        raise UsageError(unknown_name("kernel set of null", kernels, KERNELS))
    manifest_path = path.parent / MANIFEST_NAME
    if not manifest_path.is_file():
        raise EngineError(f"null: {path}: it takes the ports from an artifact's manifest; {manifest_path} is missing")
    for file in parse_manifest(manifest_path.read_bytes(), manifest_path).files:
        if file.path == path.name:
            return NullSession(
                inputs=tuple(port_of(tensor) for tensor in file.inputs),
                outputs=tuple(port_of(tensor) for tensor in file.outputs),
                threads=threads,
            )
    raise EngineError(f"null: {manifest_path}: lists no '{path.name}'")


def port_of(tensor: TensorInfo) -> Port:
    """The port that a manifest describes."""
    return Port(
        name=tensor.name, shape=tensor.shape, dtype=tensor.dtype, scale=tensor.scale, zero_point=tensor.zero_point
    )


class NullSession:
    """Answers every input with the same outputs: zeros, or the given arrays."""

    def __init__(
        self,
        *,
        inputs: tuple[Port, ...],
        outputs: tuple[Port, ...],
        values: Sequence[npt.NDArray[Any]] | None = None,
        threads: int = 1,
    ) -> None:
        self._inputs = inputs
        self._outputs = outputs
        self._values = list(values or (np.zeros(port.shape, port.dtype) for port in outputs))
        self._threads = threads

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The given inputs."""
        return self._inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        """The given outputs."""
        return self._outputs

    @property
    def info(self) -> EngineInfo:
        """Nothing runs."""
        return EngineInfo(
            engine="null",
            version="0",
            kernels="none",
            delegate=None,
            operators=0,
            delegated_operators=0,
            threads=self._threads,
        )

    def run(self, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Copy the outputs, as a real engine has to. Refuses (EngineError) other shapes or dtypes."""
        check_inputs("null", self._inputs, inputs)
        return [value.copy() for value in self._values]
