"""The null engine keeps to the protocol and to the manifest."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.engines.engine import open_session
from edge.errors import EngineError, UsageError

MakeArtifact = Callable[..., Path]


def test_ports_are_those_of_the_manifest(make_artifact: MakeArtifact) -> None:
    session = open_session("null", make_artifact() / "model.tflite", threads=3)
    assert (session.inputs[0].shape, session.inputs[0].zero_point) == ((1, 8, 8, 3), -128)
    assert (session.outputs[0].shape, session.info.threads, session.info.kernels) == ((1, 3), 3, "none")


def test_outputs_are_the_callers_own(make_artifact: MakeArtifact) -> None:
    session = open_session("null", make_artifact() / "model.tflite")
    image = np.zeros((1, 8, 8, 3), np.int8)
    session.run([image])[0][:] = 9
    np.testing.assert_array_equal(session.run([image])[0], np.zeros((1, 3), np.int8))


def test_a_file_outside_an_artifact_is_refused(make_artifact: MakeArtifact, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"manifest\.json is missing"):
        open_session("null", tmp_path / "model.tflite")
    with pytest.raises(EngineError, match=r"lists no 'other\.tflite'"):
        open_session("null", make_artifact() / "other.tflite")
    with pytest.raises(UsageError, match="unknown kernel set of null"):
        open_session("null", tmp_path / "model.tflite", kernels="xnnpack")


def test_threads_below_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="threads must be at least 1, not 0"):
        open_session("null", tmp_path / "model.tflite", threads=0)
