"""A loaded model, alike for every engine: used by one thread at a time, in one process, until it is closed."""

import ctypes
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from edge.engines.engine import EngineInfo
from edge.engines.inputs import check_inputs, without_batch
from edge.errors import EngineError
from edge.port import Port

Arrays = Sequence[npt.NDArray[Any]]
Result = TypeVar("Result")


class EngineSession(ABC):
    """Owns what a runtime loaded, and lends it to one call at a time; every engine's session is one.

    `run` may be called from any thread: the calls wait for one another, and the arrays are the caller's. A fork does
    not take the runtime's threads along, so its child is refused in one line, and nothing is freed there, because
    runtimes wait for those threads when they free a model.

    Args:
        engine: key of ENGINES; opens every message.
        model: the runtime's own object. A subclass keeps no reference of its own to it.
    """

    _process = -1

    def __init__(self, engine: str, model: Any, inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> None:
        self._engine = engine
        self._inputs, self._outputs = inputs, outputs
        self._lacking = [False] * len(outputs)
        self._as_told = [(port.shape, np.dtype(port.dtype)) for port in inputs]
        self._model = model
        self._lock = threading.Lock()
        self._process = os.getpid()

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The model's inputs, in the file's order."""
        return self._inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        """The model's outputs, in the file's order."""
        return self._outputs

    @property
    @abstractmethod
    def info(self) -> EngineInfo:
        """What really runs."""

    def run(self, inputs: Arrays) -> list[npt.NDArray[Any]]:
        """Run once, from any thread; arrays as in the file, and the returned ones are the caller's.

        Raises:
            EngineError: other shapes or dtypes, a model that fails, a session that is closed or of another process.
        """
        given = inputs
        if [(array.shape, array.dtype) for array in inputs] != self._as_told:
            given = [without_batch(port, array) for port, array in zip(self._inputs, inputs, strict=False)]
            given += inputs[len(given) :]
            check_inputs(self._engine, self._inputs, given)
        found = self._alone(self._compute, given)
        if True not in self._lacking:
            return found
        return [array[None] if lacks else array for array, lacks in zip(found, self._lacking, strict=True)]

    def give_batch(self, told: Sequence[Port]) -> None:
        """Let `run` add the batch axis of 1 that a manifest tells of outputs and the file lacks.

        An input may always be handed over with one more axis of 1 than the file has.
        """
        self._lacking = [one.shape == (1, *port.shape) for one, port in zip(told, self._outputs, strict=True)]

    def close(self) -> None:
        """Free what the runtime holds, after the call that is running; closing twice is as good as once."""
        if self._process == os.getpid():
            with self._lock:
                self._model = None

    def __enter__(self) -> "EngineSession":
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close it."""
        self.close()

    def __del__(self) -> None:
        """In the child of a fork: keep what the runtime holds for ever, for freeing it may never return."""
        if self._process not in (-1, os.getpid()):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(vars(self)))

    @abstractmethod
    def _compute(self, model: Any, inputs: Arrays) -> list[npt.NDArray[Any]]:
        """Run once with checked inputs; no other thread uses the model meanwhile. The result is the caller's."""

    def _alone(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """What `work` makes of the runtime's model and arguments; no other thread uses the model meanwhile.

        Raises:
            EngineError: the session is closed, or was loaded in another process.
        """
        if self._process != os.getpid():  # asked first: a fork copies a lock as it is, held for ever if it was held
            raise EngineError(
                f"{self._engine}: the model was loaded in process {self._process}, and this is a fork of it "
                f"({os.getpid()}); load it again here"
            )
        with self._lock:
            if self._model is None:
                raise EngineError(f"{self._engine}: the session is closed; load the model again")
            return work(self._model, *arguments)
