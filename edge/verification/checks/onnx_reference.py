"""ONNX Runtime as the float reference of a model that holds operators without a formula here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.engines.engine import open_session

Array = npt.NDArray[Any]


class OnnxReference:
    """Runs a float ONNX file of batch 1 on any number of images."""

    def __init__(self, path: Path) -> None:
        """Load the file. Refuses (EngineError) when ONNX Runtime is missing or does not take it."""
        self._session = open_session("onnxruntime", path, threads=1)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs, stacked along the first axis, for inputs (n, ...)."""
        count = len(inputs[0])
        each = [
            self._session.run([np.ascontiguousarray(array[index : index + 1]) for array in inputs])
            for index in range(count)
        ]
        return [np.concatenate([outputs[k] for outputs in each]) for k in range(len(self._session.outputs))]
