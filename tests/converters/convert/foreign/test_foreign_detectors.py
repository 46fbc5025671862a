"""A foreign detector as ONNX is written anew, in float or quantized: its card says how its outputs become boxes."""

from pathlib import Path

import numpy as np
import pytest

from converters.convert.calibration import Calibration
from converters.convert.convert import convert_source
from converters.convert.options import ConvertOptions
from converters.convert.quantize import quantize_source
from converters.convert.wrap import WrapOptions, wrap_file
from edge.artifact.manifest import Artifact
from edge.data.generated import generated_split
from edge.errors import UsageError
from edge.predictor.predictor import Predictor
from edge.verification.verify import Request, verify
from tests.converters.convert.wrap.test_detectors import FRAME, NAMES, SIDE, SPLIT, SSD, YOLO, card, head_file
from tests.support.yolo import yolo_onnx

COUNT = len(SPLIT.classes)


def values(artifact: Artifact) -> np.ndarray:
    return Predictor.load(artifact).values(FRAME, format="rgb")


def test_a_float_detector_finds_what_the_file_as_it_is_finds(tmp_path: Path) -> None:
    """Two outputs, scores first; the manifest's section is the same by both roads."""
    source, given = head_file(tmp_path), card(tmp_path, SSD)
    as_it_is = wrap_file(source, tmp_path / "as_it_is", WrapOptions(card=given))
    anew = convert_source(source, tmp_path / "anew", ConvertOptions(card=given))
    assert anew.manifest.detection == as_it_is.manifest.detection and anew.manifest.head == "raw"
    assert [output.meaning for output in anew.manifest.files[0].outputs] == ["probabilities", "box_codes"]
    first, second = values(as_it_is), values(anew)
    assert first.shape == second.shape and len(first) > 5
    np.testing.assert_allclose(first, second, atol=0.05)


@pytest.mark.parametrize("form", ["ssd", "yolo"])
def test_a_quantized_detector_is_exact(tmp_path: Path, form: str) -> None:
    """0 values of LiteRT differ from the simulation; the parent is the float file."""
    if form == "ssd":
        source, given = head_file(tmp_path), card(tmp_path, SSD)
    else:
        source = yolo_onnx(tmp_path / "yolo.onnx", classes=COUNT, side=SIDE)
        given = card(tmp_path, YOLO, 'values = "probabilities"')
    calibration = Calibration(split=generated_split("detect", "train", 8))
    artifact = quantize_source(source, tmp_path / "int8", calibration, ConvertOptions(card=given))
    report = verify(artifact, Request())
    found = [finding for finding in report.verdict.findings if finding.check == "end to end"]
    of_tflite = next(finding for finding in found if finding.subject.startswith("model.tflite"))
    assert report.verdict.ship and len(found) == 2 and of_tflite.data["differing"] == 0
    assert report.parent is not None and len(values(artifact)) > 3


def test_outputs_that_the_card_does_not_name_are_refused(tmp_path: Path) -> None:
    source = head_file(tmp_path)
    given = card(tmp_path, YOLO.replace("objectness = false", "objectness = true"), 'values = "probabilities"', NAMES)
    with pytest.raises(UsageError, match=r"2 outputs; say output = NAME or PLACE"):
        convert_source(source, tmp_path / "refused", ConvertOptions(card=given))
    assert not (tmp_path / "refused").exists()
