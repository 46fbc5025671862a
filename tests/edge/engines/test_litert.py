"""LiteRT says what really ran, gives the caller its own arrays, and refuses in one line."""

from pathlib import Path

import numpy as np
import pytest

from edge.engines.engine import open_session
from edge.errors import EngineError, ModelFileError, UsageError
from edge.port import dequantize

pytest.importorskip("ai_edge_litert", reason="the litert engine is not installed")


@pytest.fixture(scope="module")
def int8_file(test_data: Path) -> Path:
    return test_data / "models" / "vww_96_int8.tflite"


@pytest.mark.data
def test_ports_carry_the_parameters_of_the_file(int8_file: Path) -> None:
    session = open_session("litert", int8_file)
    (port,) = session.inputs
    assert (port.shape, port.dtype, port.zero_point) == ((1, 96, 96, 3), "int8", -128)
    assert port.scale == pytest.approx(1 / 255)
    assert [output.shape for output in session.outputs] == [(1, 2)]


@pytest.mark.data
def test_the_delegate_count_is_the_runtimes_own(int8_file: Path) -> None:
    info = open_session("litert", int8_file).info  # one partition of 27 convolutions, one of the head's two operators
    assert (info.kernels, info.delegate, info.operators) == ("xnnpack", "XNNPACK", 31)
    assert info.delegated_operators == 29


@pytest.mark.data
@pytest.mark.parametrize("kernels", ["builtin", "reference"])
def test_other_kernels_run_without_a_delegate(int8_file: Path, kernels: str) -> None:
    session = open_session("litert", int8_file, kernels=kernels)
    assert (session.info.kernels, session.info.delegate, session.info.delegated_operators) == (kernels, None, 0)
    pixels = np.random.default_rng(0).integers(-128, 128, (1, 96, 96, 3), dtype=np.int8)
    (output,) = session.run([pixels])
    (expected,) = open_session("litert", int8_file).run([pixels])
    assert np.abs(output.astype(int) - expected.astype(int)).max() <= 8


@pytest.mark.data
def test_answers_of_a_run_survive_the_next_run(int8_file: Path) -> None:
    session = open_session("litert", int8_file)
    rng = np.random.default_rng(1)
    first = session.run([rng.integers(-128, 128, (1, 96, 96, 3), dtype=np.int8)])[0]
    kept = first.copy()
    session.run([np.full((1, 96, 96, 3), -128, np.int8)])
    np.testing.assert_array_equal(first, kept)


@pytest.mark.data
def test_dequantized_probabilities_sum_to_one(int8_file: Path) -> None:
    session = open_session("litert", int8_file)
    (scores,), (port,) = session.run([np.zeros((1, 96, 96, 3), np.int8)]), session.outputs
    assert dequantize(scores, port.scale, port.zero_point).sum() == pytest.approx(1.0, abs=2 / 256)


@pytest.mark.data
def test_wrong_arrays_are_refused_before_native_code(int8_file: Path) -> None:
    session = open_session("litert", int8_file)
    with pytest.raises(EngineError, match=r"int8 \(1, 96, 96, 3\), got uint8 \(1, 96, 96, 3\)"):
        session.run([np.zeros((1, 96, 96, 3), np.uint8)])
    with pytest.raises(EngineError, match="2 input arrays for a model with 1"):
        session.run([np.zeros((1, 96, 96, 3), np.int8)] * 2)


@pytest.mark.data
def test_nothing_is_written_to_standard_error(int8_file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    open_session("litert", int8_file).run([np.zeros((1, 96, 96, 3), np.int8)])
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.data
def test_a_truncated_file_is_refused_in_one_line(int8_file: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "cut.tflite"
    damaged.write_bytes(int8_file.read_bytes()[:5000])
    with pytest.raises(EngineError, match=r"cut\.tflite") as caught:
        open_session("litert", damaged)
    assert "\n" not in str(caught.value)


def test_a_foreign_or_missing_file_is_named(tmp_path: Path) -> None:
    foreign = tmp_path / "model.tflite"
    foreign.write_bytes(b"not a flatbuffer")
    with pytest.raises(ModelFileError, match=r"model\.tflite: is not a TFLite file"):
        open_session("litert", foreign)
    with pytest.raises(ModelFileError, match="cannot be read"):
        open_session("litert", tmp_path / "absent.tflite")


def test_a_misspelt_engine_or_kernel_set_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'litert'"):
        open_session("litrt", tmp_path)
    with pytest.raises(UsageError, match="did you mean 'xnnpack'"):
        open_session("litert", tmp_path, kernels="xnpack")
