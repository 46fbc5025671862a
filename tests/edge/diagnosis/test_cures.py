"""Every cure that `edge doctor` prints as a command is run as it is printed, and heals."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from converters.convert.export import export_checkpoint
from edge.diagnosis.table import DISEASES
from edge.graph.analyses.borders import borders
from edge.graph.graph import Operator
from edge.graph.passes.repad import with_pads
from edge.training.checkpoint import read_checkpoint, write_checkpoint
from tests.cases.ended import edge
from tests.support.sick_models import (
    IMAGENET,
    OFFICIAL,
    ZOO,
    Array,
    card,
    network,
    official,
    onnx_file,
    with_weights,
)
from tests.support.sick_siblings import SIBLINGS, outliers_of

EVERY = {**ZOO, **SIBLINGS}
IMAGES = "generated:classify:train:9"
"""So few leave none to judge by: ranges alone, in seconds."""
BY_FILE = {
    "QDQ to calibrate": "",
    "TFLite to calibrate": "",
    "grid per channel": "mobilenet_v1",
    "grid per tensor in float16": "mobilenet_v2",
    "an activation without a range": "",
    "turned in ONNX": "",
    "small scale": "mobilenet_v1",
    "sum of a small scale": "mobilenet_v2",
    "zeros that the parent has not": "",
    "range to 20": "mobilenet_v1",
    "ReLU for ReLU6": "",
    "0 to 1 for -1 to 1": "",
    "pixels for -1 to 1": "",
    "ImageNet's deviation for -1 to 1": "",
    "noise": "",
    "one image": "",
}
"""Sick models -> the healthy network that is named as their parent, where there is one beside them."""
NO_COMMAND = {
    "float between integers": "no command makes integers of Sin",
    "half a layer of zeros": "no command brings weights back",
    "linear depthwise": "no command changes a network",
    "no weight in the end": "no command teaches a file",
    "turned in TFLite": "no command rewrites a finished file",
}
BY_CHECKPOINT = {"double quantization", "a model at chance", "evaluation unlike training"}
OF_THEIR_OWN = {"wrong colour order", "unbounded or signed activations", "huge channel ratios"}


def rows_of(*words: str | Path) -> dict[str, dict[str, Any]]:
    """The rows of an examination by disease."""
    rows = [json.loads(line) for line in edge("doctor", *words, "--json").out.splitlines()]
    assert rows[-1]["row"] == "diagnosis", rows
    return {row["disease"]: row for row in rows[:-1]}


def sick(rows: dict[str, dict[str, Any]]) -> list[str]:
    """The diseases that were found."""
    return [name for name, row in rows.items() if row["state"] == "sick"]


def run(command: str, folder: Path, **names: str) -> str:
    """Run a command as printed, in a folder, its names in capitals filled in; what it printed."""
    for name, value in names.items():
        command = re.sub(rf"\b{name}\b", value, command)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, (command, ended.stderr)
    return ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_FILE)
def test_a_cure_of_a_file_heals_when_it_is_run(name: str, tmp_path: Path) -> None:
    words, disease = EVERY[name].make(tmp_path), EVERY[name].disease
    if BY_FILE[name]:
        (tmp_path / "parent").mkdir()
        words += ["--parent", onnx_file(network(BY_FILE[name]), tmp_path / "parent")]
    rows = rows_of(*words)
    assert sick(rows) == [disease]
    fed = str(tmp_path / "card.toml") if (tmp_path / "card.toml").exists() else card(tmp_path)
    run(rows[disease]["command"], tmp_path, CARD=fed, SPLIT=IMAGES)
    assert sick(rows_of(tmp_path / "ARTIFACT")) == []


@pytest.mark.unhurried
@pytest.mark.parametrize("name", NO_COMMAND)
def test_what_no_command_cures_says_so(name: str, tmp_path: Path) -> None:
    row = rows_of(*EVERY[name].make(tmp_path))[EVERY[name].disease]
    assert row["cure"].startswith(NO_COMMAND[name])
    assert not row["command"] or "FLOAT_MODEL" in row["command"]


@pytest.mark.slow
def test_other_pads_than_the_parents_heal(tmp_path: Path) -> None:
    graph = network()
    (tmp_path / "parent").mkdir()
    parent = onnx_file(graph, tmp_path / "parent")
    other = {one.operator.name: one.other for one in borders(graph) if one.other is not None}
    path = onnx_file(with_pads(graph, {name: pads for name, pads in other.items() if pads is not None}), tmp_path)
    row = rows_of(path, "--parent", parent)["asymmetric padding"]
    run(row["command"], tmp_path, CARD=card(tmp_path), SPLIT=IMAGES)
    assert sick(rows_of(tmp_path / "ARTIFACT", "--parent", parent)) == []


def checkpoint_with(road: Path, folder: Path, change: Callable[[Array], Array]) -> Path:
    """The trained checkpoint with its convolutions changed, its recipe beside it."""
    found = read_checkpoint(road / "run" / "float.safetensors")
    tensors = {
        name: torch.from_numpy(change(value.numpy().copy()).astype(np.float32)) if value.dim() == 4 else value
        for name, value in found.tensors.items()
    }
    write_checkpoint(folder / "float.safetensors", replace(found, tensors=tensors))
    (folder / "recipe.toml").write_bytes((road / "run" / "recipe.toml").read_bytes())
    return folder / "float.safetensors"


def rounded(weight: Array) -> Array:
    """Every output channel on a grid of 127 steps either way."""
    steps = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / 127
    return np.asarray(np.round(weight / steps) * steps)


@pytest.mark.slow
def test_weights_on_a_grid_are_trained_off_it(road: Path, tmp_path: Path) -> None:
    path = checkpoint_with(road, tmp_path, rounded)
    rows = rows_of(path)
    assert "double quantization" in sick(rows)
    run(rows["double quantization"]["command"], tmp_path)
    assert "double quantization" not in sick(rows_of(tmp_path / "RUN" / "qat.safetensors"))


@pytest.mark.slow
def test_an_evaluation_as_in_the_training_gives_its_figure_back(road: Path, tmp_path: Path) -> None:
    path = road / "run" / "float.safetensors"
    fed = card(tmp_path, colour_order='"bgr"', mean="[0, 0, 0]", std="[58.4, 57.1, 57.4]")
    row = rows_of(path, "--card", fed)["evaluation unlike training"]
    split = "generated:classify:val:32"
    told = run(f"{row['command']} --json", tmp_path, SPLIT=split)
    assert json.loads(told)["top1"] == pytest.approx(read_checkpoint(path).metrics["top1"])


@pytest.mark.slow
def test_a_model_at_chance_learns_by_its_cure(road: Path, tmp_path: Path) -> None:
    path = checkpoint_with(road, tmp_path, lambda weight: weight)  # one epoch of 64 images taught it nothing
    recipe = (tmp_path / "recipe.toml").read_text()
    for old, taught in (
        ("epochs = 1\n", "epochs = 150\n"),
        ("learning_rate = 0.05", "learning_rate = 0.005"),
        ('optimizer = "sgd"', 'optimizer = "adamw"'),
        ("eval_epochs = 1\n", "eval_epochs = 150\n"),
    ):
        recipe = recipe.replace(old, taught, 1)
    (tmp_path / "recipe.toml").write_text(recipe)
    rows = rows_of(path, "--split", "generated:classify:val:32")
    assert sick(rows) == ["a model at chance"]
    run(rows["a model at chance"]["command"], tmp_path)
    path, split = tmp_path / "RUN" / "float.safetensors", "generated:classify:train:64"
    assert rows_of(path, "--split", split)["a model at chance"]["state"] != "sick"
    told = json.loads(edge("eval", path, "--split", split, "--json").out)
    assert told["top1"] > 0.4  # of 8 classes: what it was trained on, far above the most frequent one's share


@pytest.mark.slow
def test_the_order_of_colours_is_written_into_the_card(test_data: Path, tmp_path: Path) -> None:
    model = test_data / "models" / OFFICIAL
    words = [*official(tmp_path, colours="bgr"), "--images", str(test_data / IMAGENET)]
    rows = rows_of(model, *words)
    assert sick(rows) == ["wrong colour order"]
    run(rows["wrong colour order"]["command"], tmp_path)
    assert (tmp_path / "ARTIFACT" / "manifest.json").is_file()
    assert sick(rows_of(model, *words)) == []


@pytest.mark.slow
def test_even_channels_bring_a_networks_answers_back(road: Path, tmp_path: Path) -> None:
    """One channel between two layers, 300 times larger, and as much smaller weights behind it: the same function."""
    graph = export_checkpoint(read_checkpoint(road / "run" / "float.safetensors"))
    first, second = next(
        (one, readers[0])
        for one in graph.operators
        if one.kind == "Conv" and one.attributes["activation"] == "none"
        if len(readers := graph.consumers(one.outputs[0])) == 1 and readers[0].kind == "Conv"
    )

    def scaled(operator: Operator, weight: Array) -> Array:
        if operator.name == first.name:
            weight[3] *= 300
        if operator.name == second.name:
            weight[:, 3] /= 300
        return weight

    changed = with_weights(graph, scaled)
    bias = changed.tensors[first.inputs[2]]
    values = np.array(bias.data)
    values[3] *= 300
    path = onnx_file(changed.with_tensors([replace(bias, data=values)]), tmp_path)
    row = rows_of(path, "--card", card(tmp_path), "--calibration", "generated:classify:train:40")["huge channel ratios"]
    assert row["state"] == "sick"
    run(row["command"], tmp_path)
    steps = json.loads((tmp_path / "ARTIFACT" / "manifest.json").read_text())["quantization"]["steps"]
    assert steps["total"]["sqnr_db"] > steps["plain"]["sqnr_db"] + 10


@pytest.mark.slow
def test_outliers_are_held_by_the_steps_that_the_cure_names(road: Path, tmp_path: Path) -> None:
    words = outliers_of(export_checkpoint(read_checkpoint(road / "run" / "float.safetensors")), tmp_path)
    row = rows_of(*words)["unbounded or signed activations"]
    assert row["state"] == "sick"
    run(row["command"], tmp_path)
    steps = json.loads((tmp_path / "ARTIFACT" / "manifest.json").read_text())["quantization"]["steps"]
    assert {step["step"] for step in steps["steps"]} == {"ranges", "cross_layer", "absorption", "equalize"}
    assert steps["total"]["sqnr_db"] >= steps["plain"]["sqnr_db"]


def test_every_disease_has_a_cure_that_is_run() -> None:
    run_here = {EVERY[name].disease for name in BY_FILE} | BY_CHECKPOINT | OF_THEIR_OWN | {"asymmetric padding"}
    assert run_here == {disease.name for disease in DISEASES}
