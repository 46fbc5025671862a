"""A model that works along axis 0 becomes an artifact: its images run one by one wherever several are asked for."""

from pathlib import Path

import numpy as np
import pytest

from converters.convert.convert import convert_source
from converters.convert.options import ConvertOptions
from edge.engines.engine import open_session
from edge.execution.float_run import FloatRun
from edge.graph.importers.onnx.reader import read_onnx
from edge.predictor.selftest import run_selftest
from tests.support.onnx_models import CARD, model, node, values, written

pytest.importorskip("ai_edge_litert")


@pytest.fixture
def shuffle(tmp_path: Path) -> Path:
    """ShuffleNet's channel shuffle with the batch folded into axis 0, as its export writes it."""
    nodes = [
        node("Conv", "x w", "c"),
        node("Reshape", "c folded", "f"),
        node("Transpose", "f", "t", perm=[1, 0, 2]),
        node("Reshape", "t back", "b"),
        node("GlobalAveragePool", "b", "g"),
        node("Flatten", "g", "v"),
        node("Gemm", "v m", "y", transB=1),
    ]
    constants = {
        "w": values(4, 3, 1, 1),
        "m": values(3, 4),
        "folded": np.array([2, 2, 64]),
        "back": np.array([-1, 4, 8, 8]),
    }
    return written(model(nodes, {"y": (1, 3)}, constants, shape=(1, 3, 8, 8)), tmp_path / "shuffle.onnx")


def test_a_batch_is_what_its_images_are_alone(shuffle: Path) -> None:
    run = FloatRun(read_onnx(shuffle))
    batch = values(3, 3, 8, 8)
    alone = [run.run([batch[index : index + 1]])[0] for index in range(3)]
    assert np.array_equal(run.run([batch])[0], np.concatenate(alone))


def test_it_becomes_an_artifact_whose_selftest_passes(shuffle: Path, tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_text(CARD)
    artifact = convert_source(shuffle, tmp_path / "out", ConvertOptions(card=tmp_path / "card.toml"))
    for file in artifact.manifest.files:
        engine = {"tflite": "litert", "onnx": "onnxruntime"}[file.format]
        session = open_session(engine, artifact.file(file.path), threads=1, kernels=None)
        assert run_selftest(artifact, file.path, session).passed
