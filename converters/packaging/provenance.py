"""Where an artifact comes from: the checkpoint, the code, the versions, the command, the time."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge.artifact.manifest import Provenance
from edge.engines.package_facts import installed_versions

# What makes a file what it is.
PACKAGES = ("edge-deploy", "torch", "numpy", "onnx", "onnxruntime", "ai-edge-litert", "flatbuffers", "safetensors")


def provenance(
    *,
    source: Path,
    folder: Path,
    recipe: Mapping[str, Any] | None = None,
    trained_hw: tuple[int, int] | None = None,
    checkpoint_sha256: str | None = None,
    parent: Path | None = None,
    parent_sha256: str | None = None,
) -> Provenance:
    """Describe how an artifact is being made, now and by this process.

    Args:
        source: the checkpoint or ONNX file. folder: where the artifact will stand; paths are kept relative to it.
        recipe: resolved, as plain data. trained_hw: its input size, where the artifact has another one.
        parent: the float parent's checkpoint or file, if it is at hand.
    """
    commit, dirty = _code_state()
    return Provenance(
        recipe=None if recipe is None else dict(recipe),
        trained_resolution_hw=trained_hw,
        checkpoint_sha256=checkpoint_sha256,
        source_path=_relative(source, folder),
        parent_path=None if parent is None else _relative(parent, folder),
        parent_sha256=parent_sha256,
        commit=commit,
        dirty=dirty,
        versions=installed_versions(PACKAGES),
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        time_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _relative(path: Path, folder: Path) -> str:
    """The path as seen from inside the artifact folder."""
    return os.path.relpath(os.path.realpath(path), os.path.realpath(folder))


def _code_state() -> tuple[str | None, bool | None]:
    """Commit and dirty flag of the checkout that this code runs from; None outside one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None, None
    try:
        commit = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        )
        status = subprocess.run(
            ["git", "-C", str(root), "status", "--porcelain"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None, None
    return commit.stdout.strip(), bool(status.stdout.strip())
