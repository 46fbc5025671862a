"""A file's beginnings compute what the whole file computes up to there."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device_bench.agent.file_beginnings import beginning
from edge.errors import EngineError, ModelFileError
from edge.graph.tflite import read_tflite
from edge.graph.tflite_prefix import tflite_prefixes


def interpreter(data: bytes) -> Any:
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    made = litert.Interpreter(
        model_content=data,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    made.allocate_tensors()
    return made


def test_every_beginning_computes_what_the_whole_file_computes(small_file: bytes) -> None:
    whole = interpreter(small_file)
    detail = whole.get_input_details()[0]
    image = np.random.default_rng(0).integers(-128, 128, detail["shape"]).astype(detail["dtype"])
    whole.set_tensor(detail["index"], image)
    whole.invoke()
    cuts = asdict(tflite_prefixes(small_file))
    assert len(cuts["outputs"]) == len(read_tflite(small_file).operators)
    for count in range(1, len(cuts["outputs"]) + 1):
        data = beginning(small_file, cuts, count)
        assert len(data) < len(small_file) + 100
        assert len(read_tflite(data).operators) == count
        part = interpreter(data)
        part.set_tensor(part.get_input_details()[0]["index"], image)
        part.invoke()
        for output in part.get_output_details():
            np.testing.assert_array_equal(part.get_tensor(output["index"]), whole.get_tensor(output["index"]))


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ModelFileError, match="not a TFLite file"):
        tflite_prefixes(Path(__file__).read_bytes())


def test_a_cut_outside_the_file_is_refused(small_file: bytes) -> None:
    cuts = {**asdict(tflite_prefixes(small_file)), "outputs_at": len(small_file)}
    with pytest.raises(EngineError, match="a cut at byte"):
        beginning(small_file, cuts, 1)


@pytest.mark.data
def test_official_files_can_be_cut_in_the_middle(test_data: Path) -> None:
    paths = sorted((test_data / "models").glob("*.tflite"))
    assert paths
    for path in paths:
        data = path.read_bytes()
        cuts = asdict(tflite_prefixes(data))
        count = len(cuts["outputs"]) // 2 + 1
        part = interpreter(beginning(data, cuts, count))
        part.invoke()
        assert [detail["index"] for detail in part.get_output_details()] == list(cuts["outputs"][count - 1])
