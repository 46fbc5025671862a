"""Bare files stand beside artifacts with their counts; the grids that were published come out of the files."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from converters.measuring.onnx import PEAK_MULTIPLY_ADDS, peak_file
from converters.measuring.tflite import PEAK_MULTIPLY_ADDS as TFLITE_MULTIPLY_ADDS
from converters.measuring.tflite import peak_file as tflite_peak_file
from device_bench.records.record_lines import read_records
from edge.cli.bench import command
from edge.cli.file_counts import file_counts

# Multiply-adds in millions as printed: MobileNetV1's paper and TF-slim's table (rounded), MobileNetV2's (truncated).
PUBLISHED = {
    "mobilenet_v1_1.0_224_quant_joined.tflite": 569,
    "mobilenet_v1_0.25_224_quant.tflite": 41,
    "mobilenet_v1_0.25_128_quant.tflite": 14,
    "mobilenet_v2_1.0_224_quant.tflite": 300,
}


@pytest.mark.unhurried
def test_bare_files_are_counted_in_their_records(tmp_path: Path) -> None:
    paths = [tmp_path / "layers.onnx", tmp_path / "layer.tflite"]
    paths[0].write_bytes(peak_file("float32"))
    paths[1].write_bytes(tflite_peak_file("int8"))
    out = tmp_path / "records.jsonl"
    quick = ["--min-seconds", "0", "--min-runs", "5", "--rounds", "1", "--warmup-seconds", "0", "-o", str(out)]
    for path, engine in zip(paths, ("onnxruntime", "litert:builtin"), strict=True):
        result = CliRunner().invoke(command, [str(path), "--engine", engine, *quick])
        assert result.exit_code == 0, result.output
    onnx, tflite = read_records(out)
    assert (onnx.measured.multiply_adds, onnx.memory.arena_bytes) == (PEAK_MULTIPLY_ADDS, None)
    assert tflite.measured.multiply_adds == TFLITE_MULTIPLY_ADDS
    assert tflite.measured.weights_bytes and tflite.measured.parameters
    assert tflite.memory.arena_bytes == tflite.measured.peak_activation_bytes == 2 * 28 * 28 * 512


def test_a_file_that_our_readers_refuse_has_no_counts(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(b"nothing")
    assert file_counts(path) is None


@pytest.mark.data
@pytest.mark.parametrize("name", PUBLISHED)
def test_official_files_count_what_was_published(test_data: Path, name: str) -> None:
    counts = file_counts(test_data / "models" / name)
    assert counts is not None
    assert PUBLISHED[name] in (round(counts.cost.multiply_adds / 1e6), counts.cost.multiply_adds // 10**6)
