"""Both forms of a channel shuffle give the same values."""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from converters.tflite.writer import tflite_bytes
from edge.engines.litert import open_litert
from tests.benchmarks.channel_shuffle import FORMS, shuffle_graph


@pytest.mark.parametrize("form", FORMS)
def test_channels_of_the_groups_alternate(form: str) -> None:
    x = np.arange(12, dtype=np.float32).reshape(1, 1, 2, 6)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(tflite_bytes(shuffle_graph(form, (1, 2, 6, 3), "float32")))
        (y,) = open_litert(path).run([x])
    assert y.reshape(2, 6).tolist() == [[0, 2, 4, 1, 3, 5], [6, 8, 10, 7, 9, 11]]
