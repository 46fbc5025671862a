"""An artifact as an answer to frames, for `edge.evaluation.accuracy`."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edge.artifact import Artifact
from edge.errors import UnsupportedError
from edge.runtime.choice import choose_engine, file_for
from edge.runtime.engine import EngineInfo, open_session
from edge.runtime.selftest import model_input
from edge.vision.postprocess import frame_class_map
from edge.vision.preprocess import resize

Pixels = NDArray[np.uint8]


def artifact_answer(
    artifact: Artifact, *, engine: str | None = None, threads: int = 1
) -> tuple[Callable[[list[Pixels]], list[NDArray[Any]]], EngineInfo]:
    """Load the file that an engine runs.

    Args:
        engine: key of ENGINES; None takes the preferred installed one.

    Returns:
        A function from RGB frames (h, w, 3) to raw class scores (classes,), or class maps uint8 (h, w) of the frames'
        sizes with 255 where the model saw nothing; and what really runs.

    Raises:
        EngineError: no such engine here, or it refuses the file.
        UnsupportedError: a task that has no accuracy yet.
    """
    manifest = artifact.manifest
    if manifest.task not in ("classify", "segment"):
        raise UnsupportedError(f"{artifact.folder}: task '{manifest.task}' has no accuracy yet")
    chosen = engine or choose_engine(artifact)
    file = file_for(artifact, chosen)
    session = open_session(chosen, artifact.file(file.path), threads=threads)
    output = file.outputs[0]

    def one(frame: Pixels) -> NDArray[Any]:
        raw = session.run([model_input(resize(frame, manifest.preprocess)[None], file, manifest.preprocess)])[0]
        if manifest.task == "classify":
            return raw.reshape(-1)
        frame_hw = (frame.shape[0], frame.shape[1])
        # The manifest is validated; frame_class_map refuses a meaning or layout that is no segmentation.
        return frame_class_map(raw, cast(Any, output.meaning), cast(Any, output.layout), frame_hw, manifest.preprocess)

    return lambda frames: [one(frame) for frame in frames], session.info
