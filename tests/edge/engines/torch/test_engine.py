"""The torch engine executes a model file: INT8 exactly as XNNPACK does, float within rounding."""

from pathlib import Path

import numpy as np
import pytest

from edge.engines.engine import open_session
from edge.errors import EngineError, UsageError

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("ai_edge_litert", reason="the litert engine is not installed")


@pytest.mark.data
def test_an_int8_file_gives_litert_s_integers(test_data: Path) -> None:
    path = test_data / "models" / "vww_96_int8.tflite"
    session, judge = open_session("torch", path), open_session("litert", path)
    assert (session.inputs, session.outputs[0].shape) == (judge.inputs, judge.outputs[0].shape)
    assert (session.info.kernels, session.info.operators) == ("aten", 31)
    rng = np.random.default_rng(5)
    for _ in range(3):
        image = rng.integers(-128, 128, (1, 96, 96, 3), dtype=np.int8)
        # one quantum: the file ends in an integer softmax, whose rounding differs between kernel sets
        difference = session.run([image])[0].astype(int) - judge.run([image])[0].astype(int)
        assert np.abs(difference).max() <= 1


@pytest.mark.data
def test_a_float_file_agrees_within_rounding(test_data: Path) -> None:
    path = test_data / "models" / "vww_96_float.tflite"
    image = np.random.default_rng(6).random((1, 96, 96, 3), dtype=np.float32)
    (output,) = open_session("torch", path).run([image])
    (expected,) = open_session("litert", path).run([image])
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, expected, atol=1e-4)


def test_what_it_cannot_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"reads \.onnx and \.tflite files"):
        open_session("torch", tmp_path / "model.pt")
    with pytest.raises(UsageError, match="unknown kernel set of torch"):
        open_session("torch", tmp_path / "model.onnx", kernels="xnnpack")
