"""An artifact whose TFLite file takes and gives NCHW answers as the NHWC one does, everywhere."""

from pathlib import Path

import numpy as np
import pytest

from converters.convert.convert import convert_source
from converters.convert.options import ConvertOptions
from converters.packaging.layout_report import remaining_transposes
from edge.artifact.manifest import Artifact, open_artifact
from edge.cli.main import main
from edge.engines.engine import open_session
from edge.errors import UsageError
from edge.graph.importers.tflite.reader import read_tflite
from edge.predictor.predictor import Predictor
from edge.predictor.selftest import run_selftest
from edge.tasks.classify import ClassPrediction


@pytest.fixture(scope="module")
def planes(road: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("nchw") / "int8"
    return convert_source(road / "run" / "qat.safetensors", folder, ConvertOptions(keep_nchw_io=True))


def test_the_manifest_says_nchw_and_the_file_holds_one_transpose(planes: Artifact) -> None:
    file = planes.model_file("model.tflite")
    assert file.inputs[0].layout == "nchw" and file.inputs[0].shape == (1, 3, 32, 32)
    graph = read_tflite(planes.file("model.tflite"))
    assert [operator.kind for operator in graph.operators].count("Transpose") == 1
    assert [entry.reason for entry in remaining_transposes(planes)] == ["the input stays NCHW"]


def test_the_predictor_gives_the_same_answer(planes: Artifact, road: Path) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    predictions = [
        Predictor.load(artifact, engine="litert")(frame) for artifact in (planes, open_artifact(road / "int8"))
    ]
    first, second = predictions
    assert isinstance(first, ClassPrediction) and isinstance(second, ClassPrediction)
    assert first.scores == second.scores


def test_self_test_and_verification_hold(planes: Artifact, capsys: pytest.CaptureFixture[str]) -> None:
    session = open_session("litert", planes.file("model.tflite"))
    assert run_selftest(planes, "model.tflite", session).largest == 0
    assert main(["verify", str(planes.folder)]) == 0
    assert "ship" in capsys.readouterr().out


def test_task_libraries_feed_nhwc(road: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--io uint8 is for task libraries, which feed NHWC"):
        convert_source(
            road / "run" / "qat.safetensors", tmp_path / "out", ConvertOptions(keep_nchw_io=True, io="uint8")
        )
