"""Untrained artifacts are artifacts: exact, the same every time, and of deep networks too a number."""

from pathlib import Path

import pytest

from converters.convert.code_hash import code_sha256
from converters.convert.untrained import UNTRAINED, untrained_artifact
from edge.artifact.manifest import Artifact
from edge.errors import UsageError

SMALL = {"classes": 3, "width": 0.25, "resolution": 32}


def hashes(artifact: Artifact) -> dict[str, str]:
    return {file.path: file.sha256 for file in artifact.manifest.files}


def test_the_same_arguments_give_the_same_files(tmp_path: Path) -> None:
    first = untrained_artifact("mobilenet_v1", SMALL, tmp_path / "first")
    again = untrained_artifact("mobilenet_v1", SMALL, tmp_path / "again")
    assert hashes(first) == hashes(again)
    assert first.manifest.precision == "int8"
    assert first.manifest.quantization.notes == (UNTRAINED,)
    assert first.manifest.selftest.allowed["model.tflite"]["litert/xnnpack/x86_64"] == 0


def test_random_layers_in_a_row_stay_finite(tmp_path: Path) -> None:
    """Without statistics of images RedNet's random layers give infinity, and nothing could be quantized."""
    made = untrained_artifact("rednet", {**SMALL, "resolution": 64}, tmp_path / "rednet")
    assert made.manifest.precision == "int8"


def test_a_head_of_another_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ends in no head: full"):
        untrained_artifact("mobilenet_v1", SMALL, tmp_path / "none", head="full")


def test_the_hash_of_the_code_is_one() -> None:
    assert len(code_sha256()) == 64
    assert code_sha256() == code_sha256()
