"""Two who record into one manifest lose nothing, and a replaced artifact keeps its own."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.artifact.manifest import Fidelity, open_artifact
from edge.errors import ArtifactError
from edge.verification.record import record


def report(engine: str) -> Any:
    """One figure of an engine."""
    entry = Fidelity(
        subject="model.tflite",
        engine=engine,
        kernels="builtin",
        version="1",
        images=1,
        values=3,
        differing=0,
        largest_quanta=0.0,
    )
    return SimpleNamespace(fidelity=(entry,), accuracy=(), bounds={"model.tflite": {engine: 1.0}})


def test_two_recorders_that_opened_it_at_once_keep_both_entries(make_artifact: Callable[..., Path]) -> None:
    """The second merges into what the first wrote, its self-test bounds too."""
    folder = make_artifact()
    opened = [open_artifact(folder) for _ in range(2)]
    for artifact, engine in zip(opened, ("litert", "onnxruntime"), strict=True):
        record(artifact, report(engine))
    manifest = open_artifact(folder).manifest
    assert [entry.engine for entry in manifest.fidelity] == ["litert", "onnxruntime"]
    assert {"litert", "onnxruntime"} <= set(manifest.selftest.allowed["model.tflite"])


def test_nothing_is_recorded_into_an_artifact_that_was_replaced(make_artifact: Callable[..., Path]) -> None:
    """Between opening and recording another model took the folder; it is left as it is."""
    folder, other = make_artifact(), make_artifact("other", model=b"0001TFL3")
    opened = open_artifact(folder)
    shutil.rmtree(folder)
    other.rename(folder)
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(ArtifactError, match="was replaced while it was verified: nothing is recorded"):
        record(opened, report("litert"))
    assert (folder / "manifest.json").read_bytes() == before
