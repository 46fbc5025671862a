"""The point head of an artifact in an engine, beside its network."""

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from edge.artifact.manifest import Artifact
from edge.artifact.model_file import ModelFile
from edge.engines.engine import Session, open_session
from edge.errors import UsageError
from edge.predictor.artifact_session import open_artifact_session
from edge.vision.point_rend import MAX_STEPS, Points


def head_file(artifact: Artifact, file: ModelFile) -> ModelFile | None:
    """The head's file beside a network's file; None of an artifact without a point head."""
    section = artifact.manifest.point_head
    if section is None:
        return None
    return next(head for head in section.files if (head.format, head.role) == (file.format, file.role))


def open_point_session(
    artifact: Artifact,
    file: ModelFile,
    engine: str,
    *,
    threads: int = 1,
    kernels: str | None = None,
    opener: Callable[..., Session] = open_session,
) -> Session | None:
    """The head's session beside a network's file, as `open_artifact_session` opens it; None without a head."""
    head = head_file(artifact, file)
    if head is None:
        return None
    return open_artifact_session(artifact, head, engine, threads=threads, kernels=kernels, opener=opener)


def points_by(
    artifact: Artifact,
    file: ModelFile,
    run: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None,
    steps: int | None = None,
) -> Points | None:
    """An artifact's point head as `edge.vision.point_rend` asks it; None of an artifact without.

    Args:
        file: the network's. run: the head's file beside it. steps: in place of the manifest's.

    Raises:
        UsageError: steps of an artifact without a head, or more than there are.
    """
    section, head = artifact.manifest.point_head, head_file(artifact, file)
    if section is None or head is None or run is None:
        if steps is not None:
            raise UsageError(f"{artifact.folder}: has no point head, whose steps could be said; omit them")
        return None
    if steps is not None and not 0 <= steps <= MAX_STEPS:
        raise UsageError(f"{steps} point steps; 0 to {MAX_STEPS} are possible")
    preprocess = artifact.manifest.preprocess
    return Points(
        rule=section.rule((preprocess.height, preprocess.width), steps),
        given=head.inputs[0].described,
        answer=head.outputs[0].described,
        run=run,
    )


def run_of(session: Session) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
    """A head's session as a function from points to logits."""
    return lambda given: session.run([given])[0]
