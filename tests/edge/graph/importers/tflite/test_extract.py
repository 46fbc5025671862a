"""A extracted-out operator computes what it computes in its model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import ModelFileError, UsageError
from edge.graph.graph import Graph
from edge.graph.importers.tflite.extract import TfliteExtractor, extract_tflite
from edge.graph.importers.tflite.reader import read_tflite


def assert_cuts_agree(data: bytes, interpreter: Callable[[bytes], Any]) -> None:
    whole, graph, extractor = interpreter(data), read_tflite(data), TfliteExtractor(data)
    rng = np.random.default_rng(0)
    for detail in whole.get_input_details():
        values = rng.integers(0, 100, detail["shape"])
        whole.set_tensor(detail["index"], values.astype(detail["dtype"]))
    whole.invoke()
    for index, operator in enumerate(extractor.file.operators):
        extracted = extractor.extract(index)
        part = interpreter(extracted)
        given = [i for i in dict.fromkeys(operator.inputs) if i >= 0 and extractor.file.tensors[i].data is None]
        for detail, tensor in zip(part.get_input_details(), given, strict=True):
            part.set_tensor(detail["index"], whole.get_tensor(tensor))
        part.invoke()
        expected = whole.get_tensor(operator.outputs[0])
        np.testing.assert_array_equal(part.get_tensor(part.get_output_details()[0]["index"]), expected)
        again = read_tflite(extracted)
        assert len(again.operators) == 1
        assert dict(again.operators[0].attributes) == dict(graph.operators[index].attributes)
        for name in again.operators[0].inputs + again.operators[0].outputs:
            assert_same(again, graph, name)


def assert_same(a: Graph, b: Graph, name: str) -> None:
    x, y = a.tensors[name], b.tensors[name]
    assert (x.shape, x.dtype) == (y.shape, y.dtype)
    if y.quantization is not None:
        assert y.quantization.same_as(x.quantization)
    if y.data is not None:
        np.testing.assert_array_equal(x.data, y.data)


def test_every_operator_of_a_small_network_computes_the_same_alone(
    small_file: bytes, interpreter: Callable[[bytes], Any]
) -> None:
    assert_cuts_agree(small_file, interpreter)


@pytest.mark.data
@pytest.mark.parametrize("name", ["vww_96_int8", "mobilenet_v1_0.25_128_quant", "tf2_mobilenet_v2_1.0_224_ptq"])
def test_every_operator_of_an_official_file_computes_the_same_alone(
    name: str, test_data: Path, interpreter: Callable[[bytes], Any]
) -> None:
    assert_cuts_agree((test_data / "models" / f"{name}.tflite").read_bytes(), interpreter)


def test_the_same_operator_cut_twice_gives_the_same_bytes(small_file: bytes) -> None:
    assert extract_tflite(small_file, 2) == extract_tflite(small_file, 2)


def test_an_operand_used_twice_is_one_input(small_graph: Graph) -> None:
    from dataclasses import replace

    from converters.tflite.writer import tflite_bytes

    operators = list(small_graph.operators)
    operators[3] = replace(operators[3], inputs=("project", "project"))
    graph = read_tflite(extract_tflite(tflite_bytes(replace(small_graph, operators=tuple(operators))), 3))
    assert graph.inputs == ("project",)
    assert graph.operators[0].inputs == ("project", "project")


def test_an_operator_that_is_not_there_is_refused(small_file: bytes) -> None:
    with pytest.raises(UsageError, match="operator 6 of a file with 6"):
        extract_tflite(small_file, 6)


def test_a_damaged_file_is_refused(small_file: bytes) -> None:
    with pytest.raises(ModelFileError):
        extract_tflite(small_file[: len(small_file) // 2], 0)
