"""A session that computes nothing: the same protocol and the same arrays. It measures the harness itself."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.engines.engine import EngineInfo
from edge.engines.inputs import check_inputs
from edge.engines.session import EngineSession
from edge.port import Port


class NullSession(EngineSession):
    """Answers every input with the same outputs: zeros, or the given arrays."""

    def __init__(
        self,
        *,
        inputs: tuple[Port, ...],
        outputs: tuple[Port, ...],
        values: Sequence[npt.NDArray[Any]] | None = None,
        threads: int = 1,
    ) -> None:
        arrays = list(values or (np.zeros(port.shape, port.dtype) for port in outputs))
        super().__init__("null", arrays, inputs, outputs)
        self._threads = threads

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

    def _compute(self, model: Any, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        return [value.copy() for value in model]  # as a real engine has to

    def prepared(self, inputs: Sequence[npt.NDArray[Any]]) -> Callable[[], list[npt.NDArray[Any]]]:
        """The inputs checked once; see `edge.engines.engine.PreparedSession`."""
        check_inputs("null", self._inputs, inputs)
        values = self._alone(lambda arrays: arrays)
        return lambda: [value.copy() for value in values]
