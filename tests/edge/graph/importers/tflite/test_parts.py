"""A file's beginnings and its single operators compute what the whole file computes there."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.tflite.writer import tflite_bytes
from edge.engines.file_parts import part_of
from edge.errors import EngineError, ModelFileError
from edge.graph.graph import Graph, Operator, Tensor, per_tensor
from edge.graph.importers.tflite.parts import tflite_operators, tflite_prefixes
from edge.graph.importers.tflite.reader import read_tflite


@pytest.fixture
def whole(small_file: bytes, interpreter: Any) -> Any:
    """The whole file, run once; all its tensors can be read."""
    made = interpreter(small_file)
    detail = made.get_input_details()[0]
    values = np.random.default_rng(0).integers(-128, 128, detail["shape"]).astype(detail["dtype"])
    made.set_tensor(detail["index"], values)
    made.invoke()
    return made


def operators_of(data: bytes) -> Any:
    """The parts of single operators."""
    return tflite_operators(data).parts


@pytest.mark.parametrize("cut", [tflite_prefixes, operators_of])
def test_every_part_computes_what_the_whole_file_computes(
    small_file: bytes, whole: Any, cut: Any, interpreter: Any
) -> None:
    operators = read_tflite(small_file).operators
    parts = cut(small_file)
    assert len(parts) == len(operators)
    for place, one in enumerate(parts):
        data = part_of(small_file, one.words, one.lists)
        assert len(data) < len(small_file) + 100
        assert len(read_tflite(data).operators) == (place + 1 if cut is tflite_prefixes else 1)
        part = interpreter(data)
        for detail in part.get_input_details():
            part.set_tensor(detail["index"], whole.get_tensor(detail["index"]))
        part.invoke()
        outputs = part.get_output_details()
        assert outputs
        for detail in outputs:
            np.testing.assert_array_equal(part.get_tensor(detail["index"]), whole.get_tensor(detail["index"]))


def test_a_pad_is_taken_with_what_follows_it(interpreter: Any) -> None:
    shapes = {"x": (1, 8, 8, 4), "p": (1, 10, 10, 4), "y": (1, 10, 10, 4)}
    graph = Graph(
        name="padded",
        layout="nhwc",
        operators=(
            Operator(
                kind="Pad",
                name="pad",
                inputs=("x",),
                outputs=("p",),
                attributes={"pads": ((0, 0), (1, 1), (1, 1), (0, 0)), "value": 0.0},
            ),
            Operator(kind="Relu", name="relu", inputs=("p",), outputs=("y",)),
        ),
        tensors={n: Tensor(name=n, shape=s, dtype="int8", quantization=per_tensor(0.1, 0)) for n, s in shapes.items()},
        inputs=("x",),
        outputs=("y",),
    )
    data = tflite_bytes(graph)
    found = tflite_operators(data)
    assert found.less == (1, None)
    both, relu = (interpreter(part_of(data, one.words, one.lists)) for one in found.parts)
    assert [detail["shape"].tolist() for detail in both.get_input_details()] == [[1, 8, 8, 4]]
    assert [detail["shape"].tolist() for detail in relu.get_input_details()] == [[1, 10, 10, 4]]
    both.invoke()


@pytest.mark.parametrize("cut", [tflite_prefixes, operators_of])
def test_what_is_no_model_is_refused(cut: Any) -> None:
    with pytest.raises(ModelFileError, match="not a TFLite file"):
        cut(Path(__file__).read_bytes())


def test_a_cut_outside_the_file_is_refused(small_file: bytes) -> None:
    with pytest.raises(EngineError, match="a cut at byte"):
        part_of(small_file, [(len(small_file), 1)], [])


@pytest.mark.data
def test_official_files_can_be_cut_anywhere(test_data: Path, interpreter: Any) -> None:
    paths = sorted((test_data / "models").glob("*.tflite"))
    assert paths
    for path in paths:
        data = path.read_bytes()
        prefixes, operators = tflite_prefixes(data), operators_of(data)
        middle = len(prefixes) // 2
        for one in (prefixes[middle], operators[0], operators[middle], operators[-1]):
            part = interpreter(part_of(data, one.words, one.lists))
            part.invoke()
            assert [detail["index"] for detail in part.get_output_details()] == list(one.lists[-1][1])
