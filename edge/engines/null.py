"""The null engine: an artifact's ports, and no computation."""

from pathlib import Path

from edge.artifact.manifest import MANIFEST_NAME, parse_manifest
from edge.engines.engine import Session
from edge.engines.null_session import NullSession as NullSession
from edge.engines.table import check_kernels
from edge.errors import EngineError


def open_null(path: Path, *, threads: int = 1, kernels: str | None = None) -> Session:
    """Take the ports of an artifact's model file from the manifest beside it; outputs are zeros.

    Raises:
        EngineError: there is no manifest beside the file, or it does not list the file.
        UsageError: a kernel set other than `none`.
    """
    check_kernels("null", kernels)
    manifest_path = path.parent / MANIFEST_NAME
    if not manifest_path.is_file():
        raise EngineError(f"null: {path}: it takes the ports from an artifact's manifest; {manifest_path} is missing")
    for file in parse_manifest(manifest_path.read_bytes(), manifest_path).files:
        if file.path == path.name:
            return NullSession(
                inputs=tuple(tensor.port for tensor in file.inputs),
                outputs=tuple(tensor.port for tensor in file.outputs),
                threads=threads,
            )
    raise EngineError(f"null: {manifest_path}: lists no '{path.name}'")
