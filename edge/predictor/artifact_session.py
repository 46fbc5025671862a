"""An artifact's file in an engine: the bytes whose hash was checked, held to what the manifest says of them."""

from collections.abc import Callable

from edge.artifact.manifest import Artifact
from edge.artifact.model_file import ModelFile
from edge.engines.engine import Session, open_session
from edge.engines.inputs import port_difference
from edge.engines.session import EngineSession
from edge.errors import ArtifactError


def open_artifact_session(
    artifact: Artifact,
    file: ModelFile,
    engine: str,
    *,
    threads: int = 1,
    kernels: str | None = None,
    opener: Callable[..., Session] = open_session,
) -> Session:
    """Load a file of an artifact with an engine, here or where `opener` opens it.

    Raises:
        ArtifactError: the file has changed since the artifact was opened, or is not what the manifest says.
        UsageError, EngineError: as `edge.engines.engine.open_session`.
    """
    data = artifact.read(file.path)
    session = opener(engine, artifact.file(file.path), threads=threads, kernels=kernels, data=data)
    require_as_told(artifact, file, session)
    return session


def require_as_told(artifact: Artifact, file: ModelFile, session: Session) -> None:
    """Refuse (ArtifactError) a session whose inputs and outputs are not those of the manifest; see `give_batch`."""
    for kind, told, found in (("inputs", file.inputs, session.inputs), ("outputs", file.outputs, session.outputs)):
        ports = [tensor.port for tensor in told]
        problem = port_difference(kind, ports, found, scales_told=file.format == "tflite")
        if problem is not None:
            raise ArtifactError(artifact.folder / file.path, problem)
    give_batch(session, file)


def give_batch(session: Session, file: ModelFile) -> None:
    """Let a session answer with the batch axis that the manifest tells, where the file has none."""
    if isinstance(session, EngineSession):
        session.give_batch([tensor.port for tensor in file.outputs])
