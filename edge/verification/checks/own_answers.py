"""A finished file without a formula here, as its own reference: what its preferred engine answers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.artifact.manifest import Artifact
from edge.artifact.model_file import ModelFile
from edge.engines.table import PREFERRED
from edge.predictor.artifact_session import open_artifact_session

Array = npt.NDArray[Any]


class OwnAnswers:
    """Runs a file of batch 1 on any number of images. `reason`: why nothing here computes it otherwise."""

    def __init__(self, artifact: Artifact, file: ModelFile, reason: str) -> None:
        """Load the file. Refuses (EngineError) when the engine is missing or does not take it."""
        self.reason = reason
        self._told = file.told
        self._session = open_artifact_session(artifact, file, PREFERRED[file.format])

    @property
    def words(self) -> str:
        """Whose answers they are."""
        return f"{self._session.info.engine} {self._session.info.kernels}"

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs, those that are told stacked along the first axis, for inputs (n, ...)."""
        each = [
            self._session.run([np.ascontiguousarray(array[index : index + 1]) for array in inputs])
            for index in range(len(inputs[0]))
        ]
        many = [k in self._told for k in range(len(self._session.outputs))]
        return [np.concatenate([made[k] for made in each]) if told else each[0][k] for k, told in enumerate(many)]
