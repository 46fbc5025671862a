"""A file's beginnings compute what the whole file computes up to there."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import ModelFileError
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
    prefixes = list(tflite_prefixes(small_file))
    assert len(prefixes) == len(read_tflite(small_file).operators)
    for count, data in enumerate(prefixes, start=1):
        assert len(read_tflite(data).operators) == count
        part = interpreter(data)
        part.set_tensor(part.get_input_details()[0]["index"], image)
        part.invoke()
        for output in part.get_output_details():
            np.testing.assert_array_equal(part.get_tensor(output["index"]), whole.get_tensor(output["index"]))


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ModelFileError, match="not a TFLite file"):
        next(tflite_prefixes(Path(__file__).read_bytes()))
