"""Every disease is named, alone, in models that have it; and none in models that are healthy."""

import json
from pathlib import Path

import pytest
import torch

from edge.diagnosis.table import DISEASES
from edge.models.registry import build
from edge.quantization.qat.freeze import float_graph
from tests.cases.ended import edge
from tests.support.sick_models import ZOO, card, integers, network, onnx_file, tflite_file
from tests.support.sick_siblings import SIBLINGS

EVERY = {**ZOO, **SIBLINGS}
IN_TESTS_OF_THEIR_OWN = {"wrong colour order", "evaluation unlike training"}


def examined(*words: str) -> tuple[int, dict[str, dict[str, object]], list[str]]:
    """The exit code, the rows by disease, and the diseases that were found."""
    ended = edge("doctor", *words, "--json")
    rows = [json.loads(line) for line in ended.out.splitlines()]
    assert rows and rows[-1]["row"] == "diagnosis", ended
    assert rows[-1]["exit_code"] == ended.status
    return ended.status, {row["disease"]: row for row in rows[:-1]}, rows[-1]["sick"]


@pytest.mark.unhurried
@pytest.mark.parametrize("name", EVERY)
def test_a_sick_model_is_named_by_its_disease_alone(name: str, tmp_path: Path) -> None:
    status, rows, sick = examined(*EVERY[name].make(tmp_path))
    assert sick == [EVERY[name].disease], {key: row["evidence"] for key, row in rows.items() if row["state"] == "sick"}
    assert status == 1
    found = rows[EVERY[name].disease]
    assert found["cure"] and any(isinstance(value, int | float) for value in found.values())


def test_every_disease_has_a_sick_model() -> None:
    assert {sick.disease for sick in EVERY.values()} | IN_TESTS_OF_THEIR_OWN == {disease.name for disease in DISEASES}


@pytest.mark.unhurried
@pytest.mark.parametrize("form", ["float onnx", "int8 onnx", "float tflite", "int8 tflite", "other network"])
def test_a_healthy_model_has_no_disease(form: str, tmp_path: Path) -> None:
    graph = network("mobilenet_v2") if form == "other network" else integers() if "int8" in form else network()
    path = (tflite_file if "tflite" in form else onnx_file)(graph, tmp_path)
    status, rows, sick = examined(path, "--card", card(tmp_path))
    assert (status, sick) == (0, [])
    assert all(row["state"] != "sick" for row in rows.values())


@pytest.mark.unhurried
def test_the_heads_of_a_detector_are_no_layout_disease(tmp_path: Path) -> None:
    """Each turns its map over to lay it out by anchors."""
    module = build("mobilenet_v1_ssdlite", classes=3, width=0.25, resolution=96).eval()
    path = onnx_file(float_graph(module, torch.zeros(1, 3, 96, 96)), tmp_path)
    assert examined(path)[2] == []
