"""Pixels in front, uint8 behind: the integers inside stay the same ones."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.passes.layout.nhwc import to_nhwc
from converters.passes.uint8_boundaries import uint8_boundaries
from converters.tflite.writer import tflite_bytes
from edge.artifact.manifest import open_artifact
from edge.engines.engine import open_session
from edge.errors import UsageError
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite
from edge.vision.pixels import apply_table, quantize_table
from edge.vision.preprocess import Preprocess
from tests.support.one_operator import Parameters, activation, graph_of

COMMON = {"mean": (127.5, 127.5, 127.5), "std": (127.5, 127.5, 127.5)}
PER_CHANNEL = {"mean": (123.7, 116.3, 103.5), "std": (58.4, 57.1, 57.4)}


@pytest.fixture(scope="module")
def graph(road: Path) -> Graph:
    """The tiny INT8 classifier, NHWC."""
    return to_nhwc(read_onnx(open_artifact(road / "int8").file("source.onnx")))


@pytest.fixture(scope="module")
def preprocess(road: Path) -> Preprocess:
    """Its preprocessing."""
    return open_artifact(road / "int8").manifest.preprocess


@pytest.mark.parametrize("changes", [COMMON, PER_CHANNEL], ids=["one table", "a table per channel"])
def test_pixels_give_what_their_look_up_gives(graph: Graph, preprocess: Preprocess, changes: dict[str, object]) -> None:
    """The simulation of the written file, LiteRT on it, and the old graph on looked-up pixels: no value differs."""
    changed = preprocess.model_copy(update=changes)
    around = uint8_boundaries(graph, changed)
    pixels = np.random.default_rng(0).integers(0, 256, graph.tensors[graph.inputs[0]].shape, dtype=np.uint8)
    given = graph.tensors[graph.inputs[0]].quantization
    assert given is not None
    table = quantize_table(changed, float(given.scale[0]), int(given.zero_point[0]), "int8")
    expected = IntegerSimulation(graph).run([apply_table(pixels, table)])[0].astype(np.int16) + 128
    data = tflite_bytes(around)
    assert np.array_equal(IntegerSimulation(read_tflite(data)).run([pixels])[0], expected)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(data)
        found = open_session("litert", path).run([pixels])[0]
    assert found.dtype == np.uint8 and np.array_equal(found, expected)


def test_a_look_up_that_only_shifts_is_one_quantize(graph: Graph, preprocess: Preprocess) -> None:
    """Pixels minus 128: no table, no gather."""
    given = graph.tensors[graph.inputs[0]]
    assert given.quantization is not None
    scale = float(given.quantization.scale[0])
    mean = float(128 + int(given.quantization.zero_point[0])) * np.ones(3)
    straight = preprocess.model_copy(update={"mean": tuple(mean), "std": (1 / scale,) * 3})
    kinds = [operator.kind for operator in uint8_boundaries(graph, straight).operators]
    assert kinds[0] == "Quantize" and "Gather" not in kinds


def test_bgr_and_float_models_are_refused(graph: Graph, preprocess: Preprocess) -> None:
    """Task libraries deliver RGB; a float file needs no such boundary."""
    with pytest.raises(UsageError, match="takes BGR"):
        uint8_boundaries(graph, preprocess.model_copy(update={"colour_order": "bgr"}))
    tensors = {**graph.tensors}
    first = graph.inputs[0]
    tensors[first] = replace(tensors[first], dtype="float32", quantization=None)
    with pytest.raises(UsageError, match="is for INT8 models"):
        uint8_boundaries(replace(graph, tensors=tensors), preprocess)


def test_a_model_that_takes_no_image_is_refused(preprocess: Preprocess) -> None:
    """Four channels are no RGB image."""
    parameters = Parameters(scale=0.1, zero_point=0)
    x, y = activation("x", (1, 8, 8, 4), parameters), activation("y", (1, 8, 8, 4), parameters)
    with pytest.raises(UsageError, match="expected one"):
        uint8_boundaries(graph_of("Relu", (x,), y, {}), preprocess)


def test_a_uint8_model_gets_the_same_look_up(preprocess: Preprocess) -> None:
    """Models whose weights ask for uint8: pixels give what their look-up gives, and outputs stay as they are."""
    parameters = Parameters(scale=0.0079, zero_point=127)
    size = (1, preprocess.height, preprocess.width, 3)
    x, y = activation("x", size, parameters, "uint8"), activation("y", size, parameters, "uint8")
    graph = graph_of("Relu", (x,), y, {})
    around = uint8_boundaries(graph, preprocess)
    assert [operator.kind for operator in around.operators] == ["Cast", "Gather", "Relu"]
    pixels = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    expected = IntegerSimulation(graph).run([apply_table(pixels, quantize_table(preprocess, 0.0079, 127, "uint8"))])[0]
    assert np.array_equal(IntegerSimulation(around).run([pixels])[0], expected)
    straight = preprocess.model_copy(update={"mean": (127.0,) * 3, "std": (1 / 0.0079,) * 3})
    assert uint8_boundaries(graph, straight).inputs == ("x",)
