"""`edge doctor` as a user meets it: what it refuses, what it writes, and what photographs or a training show."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edge.cli.doctor_patient import Given, open_patient
from edge.data.open_split import open_split
from edge.diagnosis.comparison import compare
from edge.diagnosis.norms import norms_of_module, remembers
from edge.diagnosis.patient import MOST_IMAGES, Photographs
from edge.graph.analyses.borders import borders
from edge.graph.passes.repad import with_pads
from tests.cases.ended import edge
from tests.support.sick_models import IMAGENET, OFFICIAL, card, integers, network, official, onnx_file, tflite_file


def sick(*words: str | Path) -> list[str]:
    """The diseases that are found."""
    rows = [json.loads(line) for line in edge("doctor", *words, "--json").out.splitlines()]
    assert rows[-1]["row"] == "diagnosis", rows
    return list(rows[-1]["sick"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fed", "disease"),
    [
        ({}, None),
        ({"colours": "bgr"}, "wrong colour order"),
        ({"mean": 0.0, "std": 255.0}, "wrong mean or std"),
        ({"mean": 123.7, "std": 58.4}, "wrong mean or std"),
    ],
)
def test_photographs_without_labels_tell_how_a_classifier_was_trained_to_be_fed(
    fed: dict[str, object], disease: str | None, test_data: Path, tmp_path: Path
) -> None:
    words = official(tmp_path, **fed)  # type: ignore[arg-type]
    found = sick(test_data / "models" / OFFICIAL, *words, "--images", test_data / IMAGENET)
    assert found == ([] if disease is None else [disease])


@pytest.mark.slow
def test_no_official_file_is_called_sick(test_data: Path) -> None:
    files = sorted((test_data / "models").glob("*.tflite"))
    assert len(files) > 10
    assert {path.name: found for path in files if (found := sick(path))} == {}


@pytest.mark.slow
def test_an_integer_file_of_another_width_tells_its_order_of_colours(test_data: Path, tmp_path: Path) -> None:
    words = [*official(tmp_path, colours="bgr", size=160), "--images", test_data / IMAGENET]
    assert sick(test_data / "models" / "mobilenet_v1_0.5_160_quant.tflite", *words) == ["wrong colour order"]


@pytest.mark.slow
def test_labels_of_another_order_are_told_from_a_model_that_knows_nothing(test_data: Path, tmp_path: Path) -> None:
    """The official file has 1001 classes, the first for what is none; the labels count from the first true one."""
    labels = test_data / IMAGENET.with_name("dev_labels.txt")
    words = [*official(tmp_path), "--images", str(test_data / IMAGENET), "--labels", str(labels)]
    ended = edge("doctor", test_data / "models" / OFFICIAL, *words, "--json")
    rows = {row["disease"]: row for row in map(json.loads, ended.out.splitlines()[:-1])}
    assert [name for name, row in rows.items() if row["state"] == "sick"] == ["a model at chance"]
    assert rows["a model at chance"]["evidence"].endswith("are labels and class names in one order?")


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("run/float.safetensors", {"colour_order": '"bgr"'}),
        ("int8", {"mean": "[0, 0, 0]", "std": "[255, 255, 255]"}),
        ("float/model.onnx", {"interpolation": '"nearest"', "fit": '"letterbox"'}),
    ],
)
def test_a_model_fed_otherwise_than_trained_is_told_by_its_fields(
    model: str, changes: dict[str, str], road: Path, tmp_path: Path
) -> None:
    words = ["--card", card(tmp_path, **changes)]
    if model.endswith(".onnx"):
        words += ["--parent", str(road / "run" / "float.safetensors")]
    found = sick(road / model, *words)
    assert found == ["evaluation unlike training"]


def test_pads_are_held_against_the_parents(tmp_path: Path) -> None:
    graph = network()
    other = {one.operator.name: one.other for one in borders(graph) if one.other is not None}
    (tmp_path / "parent").mkdir()
    parent = onnx_file(graph, tmp_path / "parent")
    assert other
    path = onnx_file(with_pads(graph, {name: pads for name, pads in other.items() if pads is not None}), tmp_path)
    assert sick(path, "--parent", parent) == ["asymmetric padding"]


def test_what_lacks_is_said(tmp_path: Path) -> None:
    ended = edge("doctor", onnx_file(network(), tmp_path), "--json")
    rows = {row["disease"]: row for row in map(json.loads, ended.done().splitlines()[:-1])}
    assert rows["wrong mean or std"]["state"] == "not judged"
    assert rows["wrong mean or std"]["evidence"] == "cannot be judged: needs a preprocessing (--card)"
    assert "--calibration" in rows["foreign calibration images"]["evidence"]


def test_what_is_no_model_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.txt"
    path.write_text("")
    assert "is no checkpoint" in edge("doctor", path).said()
    model = tflite_file(network(), tmp_path)
    assert "--input-shape is for ONNX files" in edge("doctor", model, "--input-shape", "x=1x3x32x32").said()
    quantized = onnx_file(integers(), tmp_path)
    assert "the parent must be float" in edge("doctor", model, "--parent", quantized).said()


def test_batch_norm_that_saw_few_batches_remembers_nothing() -> None:
    norm = nn.BatchNorm2d(3)
    seen = []
    for _ in range(30):
        norm(torch.randn(4, 3, 8, 8) + 5)
        seen.append(remembers(norm))
    assert seen == [False] * 28 + [True] * 2  # 0.9 to the power of 29 is 0.047
    norm.reset_running_stats()
    assert not remembers(norm)
    assert norms_of_module(norm.eval(), [np.ones((1, 3, 8, 8), np.float32)]) == ()


def test_json_says_the_exit_code_of_a_missing_file(tmp_path: Path) -> None:
    for verb in ("doctor", "verify"):
        ended = edge(verb, tmp_path / "missing.onnx", "--json")
        assert json.loads(ended.out)["exit_code"] == ended.status == 2


def test_a_card_of_another_size_is_refused(tmp_path: Path) -> None:
    model = tflite_file(network(), tmp_path)
    said = edge("doctor", model, "--card", card(tmp_path, height="48"), "--split", "generated:classify:val:8").said()
    assert "says 48x32, height x width; the input of" in said and said.endswith("is 32x32")


def test_the_page_holds_float_against_int8(road: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    checkpoint = road / "run" / "float.safetensors"
    edge("doctor", checkpoint, "--calibration", "generated:classify:train:8", "--html", page)
    text = page.read_text()
    assert "Float against INT8" in text and "wrong colour order" in text and "<script" not in text
    split = open_split(split="generated:classify:train:8")
    patient = open_patient(checkpoint, Given(calibration=Photographs(split=split, most=MOST_IMAGES)))
    held = compare(patient, bound_db=200.0)
    assert held.first_beyond is not None and held.first_beyond.name in text
    assert compare(patient, bound_db=-100.0).first_beyond is None
    assert len(held.tensors) > 10 and all(one.float_low <= one.float_high for one in held.tensors)


def test_the_page_of_an_artifact_takes_its_parents_weights(road: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    edge("doctor", road / "int8", "--split", "generated:classify:val:8", "--html", page)
    assert "the float parent&#39;s weights" in page.read_text()
