"""An artifact's predictions of frames, for `edge.tasks.accuracy`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.artifact.manifest import Artifact
from edge.engines.engine import EngineInfo
from edge.predictor.predictor import Predictor

Pixels = NDArray[np.uint8]


def artifact_predictions(
    artifact: Artifact, *, engine: str | None = None, threads: int = 1
) -> tuple[Callable[[list[Pixels]], list[NDArray[Any]]], EngineInfo]:
    """Load the file that an engine runs, as a predictor does, self-test included.

    Args:
        engine: key of ENGINES; None takes the preferred installed one.

    Returns:
        A function from RGB frames (h, w, 3) to what `edge.tasks.accuracy` counts: `ranked_values` (classes,), or
        class maps uint8 (h, w) of the frames' sizes with 255 where the model saw nothing; and what really runs.

    Raises:
        As `Predictor.load`.
    """
    predictor = Predictor.load(artifact, engine=engine, threads=threads)
    return lambda frames: [predictor.values(frame, colour_order="rgb") for frame in frames], predictor.info
