"""Finished files of a few kilobytes, and cards for them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from converters.convert.bare_file import convert_file
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.artifact.scheme import Scheme
from edge.graph.importers.onnx.reader import read_onnx
from edge.quantization.ptq.calibrate import calibrate
from tests.support.onnx_models import model, node, values, written
from tests.support.preprocess_text import preprocess_text

WEIGHTS = {"w": values(4, 3, 3, 3, seed=1), "b": values(4, seed=2), "fc": values(4, 3, seed=3)}
CONV = node("Conv", "x w b", "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
TAIL = (node("Relu", "c", "r"), node("ReduceMean", "r", "m", axes=[2, 3], keepdims=0), node("MatMul", "m fc", "l"))
MakeCard = Callable[..., Path]


@pytest.fixture
def card(tmp_path: Path) -> MakeCard:
    """Makes a card for 8x8 pixels and three classes: `said` stands at its top."""

    def make(said: str = "", *, task: str = "classify", names: str = '["a", "b", "c"]', **numbers: float) -> Path:
        text = preprocess_text(8, 8)
        for key, value in numbers.items():
            text = text.replace(f"{key} = [127.5, 127.5, 127.5]", f"{key} = [{value}, {value}, {value}]")
        path = tmp_path / "card.toml"
        path.write_text(f'task = "{task}"\n{said}\n{text}\n[labels]\nnames = {names}\n')
        return path

    return make


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """An ONNX file of three outputs: a map of features, probabilities, logits."""
    nodes = [CONV, *TAIL, node("Softmax", "l", "p", axis=1)]
    outputs = {"r": (1, 4, 8, 8), "p": (1, 3), "l": (1, 3)}
    return written(model(nodes, outputs, WEIGHTS, shape=(1, 3, 8, 8)), tmp_path / "several.onnx")


@pytest.fixture
def without_batch(tmp_path: Path) -> Path:
    """A TFLite file that takes (8, 8, 3) and gives (3,)."""
    before = [node("Transpose", "x", "t", perm=[2, 0, 1]), node("Unsqueeze", "t axis", "u")]
    conv = node("Conv", "u w b", "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    nodes = [*before, conv, *TAIL, node("Squeeze", "l axis", "y")]
    constants = {**WEIGHTS, "axis": np.array([0])}
    source = written(model(nodes, {"y": (3,)}, constants, shape=(8, 8, 3)), tmp_path / "none.onnx")
    convert_file(source, tmp_path / "none.tflite")
    return tmp_path / "none.tflite"


@pytest.fixture
def quantized(tmp_path: Path) -> Callable[..., Path]:
    """Makes an integer TFLite file of 8 or 16 bits that takes [-1, 1]: a classifier, or the maps of a segmenter."""

    def make(bits: int = 8, *, segment: bool = False) -> Path:
        ends = [] if segment else TAIL
        outputs = {"c": (1, 4, 8, 8)} if segment else {"l": (1, 3)}
        proto = model([CONV, *ends], outputs, WEIGHTS, shape=(1, 3, 8, 8))
        graph = read_onnx(proto.SerializeToString())
        images = np.random.default_rng(0).uniform(-1, 1, (4, 3, 8, 8)).astype(np.float32)
        scheme = Scheme(activation_bits=bits)  # type: ignore[arg-type]
        integers = calibrate(graph, [images], scheme=scheme, input_range=(-1.0, 1.0))
        path = tmp_path / f"int{bits}.tflite"
        path.write_bytes(tflite_bytes(to_nhwc(integers), description="a finished file"))
        return path

    return make
