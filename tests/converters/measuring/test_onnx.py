"""The files that measure ONNX Runtime hold what they say."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from converters.measuring.onnx import CHAIN_NODES, PEAK_MULTIPLY_ADDS, overhead_chains, peak_file
from edge.engines.onnx_session import open_onnxruntime
from edge.graph.analyses.counts import count_graph
from edge.graph.importers.onnx.reader import read_onnx


@pytest.mark.parametrize(("precision", "dtype"), [("int8", "uint8"), ("float32", "float32")])
def test_a_peak_file_computes_as_many_multiply_adds(
    precision: Literal["int8", "float32"], dtype: str, tmp_path: Path
) -> None:
    path = tmp_path / "peak.onnx"
    path.write_bytes(peak_file(precision))
    assert count_graph(read_onnx(path)).multiply_adds == PEAK_MULTIPLY_ADDS
    session = open_onnxruntime(path)
    assert [port.dtype for port in (*session.inputs, *session.outputs)] == [dtype, dtype]
    assert session.run([np.zeros(session.inputs[0].shape, dtype)])[0].shape == session.inputs[0].shape


def test_chains_are_one_node_and_many() -> None:
    assert [len(read_onnx(data).operators) for data in overhead_chains()] == [1, CHAIN_NODES + 1, CHAIN_NODES]
