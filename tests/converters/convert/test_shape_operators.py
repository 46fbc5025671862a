"""Every operator with weights, windows or moved values goes the whole road: ONNX in, TFLite out, float and int8."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, reject
from hypothesis import strategies as st
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument, RuntimeException

from converters.onnx.file import onnx_bytes
from converters.onnxruntime.form import onnxruntime_form
from converters.passes.canonical import canonical
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.engines.litert import open_litert
from edge.execution.float_run import FloatRun
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite
from edge.quantization.ptq.calibrate import calibrate
from tests.support.examples import examples
from tests.support.onnx_session import cpu_session
from tests.support.shape_models import MAKERS

torch.set_num_threads(1)
SEEDS = st.integers(0, 2**32 - 1)
EXAMPLES = examples(12)


def run_onnx(data: bytes, inputs: list[np.ndarray]) -> np.ndarray:
    """The first output in ONNX Runtime."""
    session = cpu_session(data)
    return np.asarray(
        session.run(None, {value.name: array for value, array in zip(session.get_inputs(), inputs, strict=True)})[0]
    )


def run_tflite(data: bytes, inputs: list[np.ndarray]) -> np.ndarray:
    """The first output in LiteRT's default kernels."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(data)
        return np.asarray(open_litert(path).run(inputs)[0])


def as_stored(array: np.ndarray) -> np.ndarray:
    """NCHW to NHWC for rank 4."""
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)) if array.ndim == 4 else array


def drawn(random: np.random.Generator, graph: Graph) -> list[np.ndarray]:
    """Normal values for every input."""
    return [random.normal(size=graph.tensors[name].shape).astype(np.float32) for name in graph.inputs]


@pytest.mark.unhurried
@pytest.mark.parametrize("kind", MAKERS)
@EXAMPLES
@given(seed=SEEDS)
def test_float_file_computes_what_onnx_runtime_computes(kind: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    data = MAKERS[kind](random)
    graph = canonical(read_onnx(data))
    inputs = drawn(random, graph)
    try:
        expected = run_onnx(data, inputs)
    except (InvalidArgument, RuntimeException):  # SAME with a stride larger than the window
        reject()
    np.testing.assert_allclose(FloatRun(graph).run(inputs)[0], expected, atol=1e-4, rtol=1e-4)
    found = run_tflite(tflite_bytes(to_nhwc(graph)), [as_stored(array) for array in inputs])
    np.testing.assert_allclose(found, as_stored(expected), atol=1e-4, rtol=1e-4)
    again = canonical(read_onnx(onnx_bytes(graph)))
    np.testing.assert_allclose(FloatRun(again).run(inputs)[0], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", MAKERS)
@EXAMPLES
@given(seed=SEEDS)
def test_int8_file_computes_the_simulated_integers(kind: str, seed: int) -> None:
    """The QDQ source, the TFLite file read back and LiteRT (XNNPACK, x86-64) agree in every value."""
    random = np.random.default_rng(seed)
    graph = canonical(read_onnx(MAKERS[kind](random)))
    assume(graph.operators)
    if len(graph.inputs) > 1:
        quantized = quantized_by_hand(graph, drawn(random, graph))
    else:
        quantized = calibrate(graph, drawn(random, graph), estimator="minmax")
    source = read_onnx(onnx_bytes(quantized))
    inputs = [random.integers(-128, 128, source.tensors[name].shape).astype(np.int8) for name in source.inputs]
    simulated = IntegerSimulation(quantized).run(inputs)[0]
    np.testing.assert_array_equal(IntegerSimulation(source).run(inputs)[0], simulated)
    nhwc = to_nhwc(source)
    file = tflite_bytes(nhwc)
    stored = [as_stored(array) for array in inputs]
    found = run_tflite(file, stored)
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, as_stored(simulated))
    np.testing.assert_array_equal(IntegerSimulation(read_tflite(file)).run(stored)[0], found)
    shifted = [(array.astype(np.int16) + 128).astype(np.uint8) for array in inputs]
    fast = run_onnx(onnxruntime_form(source), shifted).astype(np.int16) - 128
    assert np.abs(fast - simulated).max(initial=0) <= 1


def quantized_by_hand(graph: Graph, inputs: list[np.ndarray]) -> Graph:
    """A graph of several inputs with the ranges of one run."""
    from edge.artifact.scheme import activation_parameters
    from edge.quantization.quantize_graph import quantize_graph
    from edge.quantization.ties import range_groups

    values = {name: value.numpy() for name, value in FloatRun(graph).stream(inputs)}
    parameters = {}
    for group in range_groups(graph):
        low = min(float(values[name].min()) for name in group.tensors)
        high = max(float(values[name].max()) for name in group.tensors)
        parameters.update(dict.fromkeys(group.tensors, activation_parameters(low, high)))
    return quantize_graph(graph, parameters)
