"""Independent labels from a file of 0 and 1 to an INT8 artifact: every verb reads the same meaning of the scores."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.artifact.manifest import open_artifact
from edge.cli.main import main
from edge.data.open_split import open_split
from edge.predictor.predictor import Predictor
from edge.tasks.classify import LabelsPrediction
from edge.training.checkpoint import read_checkpoint

pytestmark = pytest.mark.unhurried

RECIPE = Path(__file__).parents[3] / "edge" / "recipes" / "mobilenet_v1_attributes_generated.toml"
SMALL = {
    "data.train": "generated:attributes:train:64",
    "data.val": "generated:attributes:val:24",
    "model.resolution": "32",
    "preprocess.height": "32",
    "preprocess.width": "32",
    "train.batch_size": "16",
    "train.epochs": "1",
    "train.positive_weights": "sqrt_frequency",
    "qat.batch_size": "16",
    "qat.epochs": "1",
    "qat.observe_batches": "1",
}
SETTINGS = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]


def json_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished small run with its INT8 artifact, and images on disk with a table of what holds."""
    folder = tmp_path_factory.mktemp("labels")
    assert main(["train", str(RECIPE), "-o", str(folder / "run"), "--threads", "1", *SETTINGS]) == 0
    qat = folder / "run" / "qat.safetensors"
    assert main(["convert", str(qat), "-o", str(folder / "int8"), "--no-verify"]) == 0
    split = open_split(split="generated:attributes:val:12")
    lines = ["file," + ",".join(split.classes)]
    (folder / "images").mkdir()
    for index in range(len(split)):
        name = f"{index}.png"
        cv2.imwrite(str(folder / "images" / name), split.image(index)[:, :, ::-1])
        lines.append(",".join([name, *(str(value) for value in split.truth(index))]))
    lines[1] = lines[1][:-1]  # the last label of the first image is not known
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


def data_of(folder: Path) -> list[str]:
    return ["--images", str(folder / "images"), "--labels", str(folder / "labels.csv")]


def test_training_logs_mean_average_precision_and_every_label(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.loads(line) for line in (run_folder / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["phase"] for line in lines] == ["float", "qat"]
    for name, line in zip(("float", "qat"), lines, strict=True):
        checkpoint = read_checkpoint(run_folder / "run" / f"{name}.safetensors")
        assert checkpoint.scores == "independent"
        assert set(line["val"]["labels"]) == set(checkpoint.labels.names)
        capsys.readouterr()
        assert main(["eval", str(run_folder / "run" / f"{name}.safetensors"), "--json"]) == 0
        found = json_lines(capsys)[0]
        for key in ("mean_average_precision", "label_accuracy", "labels"):
            assert found[key] == line["val"][key]


def test_an_artifact_is_judged_by_what_its_predictor_shows(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = open_artifact(run_folder / "int8")
    assert {output.scores for file in artifact.manifest.files for output in file.outputs} == {"independent"}
    capsys.readouterr()
    assert main(["eval", str(run_folder / "int8"), *data_of(run_folder), "--json"]) == 0
    metrics = json_lines(capsys)[0]
    split = open_split(images=run_folder / "images", labels=run_folder / "labels.csv")
    right = []
    with Predictor.load(artifact) as predictor:
        for index in range(len(split)):
            prediction = predictor(split.image(index), format="rgb")
            assert isinstance(prediction, LabelsPrediction)
            assert all(value >= 0.5 for value in prediction.scores.probabilities[: prediction.scores.decided])
            shown = np.isin(split.classes, prediction.labels)
            known = split.truth(index) >= 0
            right += list((shown == split.truth(index))[known])
    assert len(right) == 12 * len(split.classes) - 1
    assert metrics["label_accuracy"] == pytest.approx(np.mean(right))
    figures = metrics["labels"]
    assert isinstance(figures, dict)
    assert [figures[name]["known"] for name in split.classes] == [12] * 5 + [11]
    assert main(["eval", str(run_folder / "int8"), *data_of(run_folder)]) == 0
    assert "dark background" in capsys.readouterr().out


def test_verify_compares_average_precision_with_the_float_parents(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    floor = ["--accuracy-floor", "0", "--agreement-floor", "0"]
    main(["verify", str(run_folder / "int8"), *data_of(run_folder), *floor, "--engine", "litert", "--json"])
    rows = json_lines(capsys)
    judged = [row for row in rows if row.get("check") in ("accuracy", "chance")]
    assert {row["metric"] for row in judged} == {"mean_average_precision"}
    assert all(row["parent_value"] is not None for row in judged if row["check"] == "accuracy")
    chance = next(row["chance"] for row in judged if row["check"] == "chance")
    assert isinstance(chance, float) and 0.3 < chance < 0.9
    named = next(row["labels"] for row in judged if row["check"] == "accuracy")
    assert isinstance(named, dict) and set(named) == set(open_artifact(run_folder / "int8").manifest.labels.names)


def test_ones_own_images_need_no_recipe(run_folder: Path) -> None:
    small = ["model.width=0.25", "model.resolution=32", "train.batch_size=4", "qat.epochs=1", "train.head=probe"]
    words = [word for setting in small for word in ("--set", setting)]
    run = run_folder / "own"
    asked = [*data_of(run_folder), "--model", "mobilenet_v1", "--epochs", "1", "--threads", "1", "-o", str(run)]
    assert main(["train", *asked, *words]) == 0
    for name in ("float", "qat"):
        checkpoint = read_checkpoint(run / f"{name}.safetensors")
        assert checkpoint.scores == "independent" and checkpoint.recipe.train.label_smoothing == 0
        assert "mean_average_precision" in checkpoint.metrics


def test_validation_without_a_label_that_holds_is_refused(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = run_folder / "none.csv"
    table.write_text((run_folder / "labels.csv").read_text().splitlines()[0] + f"\n0.png{',0' * 6}\n")
    assert main(["eval", str(run_folder / "int8"), "--images", str(run_folder / "images"), "--labels", str(table)]) == 2
    assert "none of its 1 images has any label: no average precision" in capsys.readouterr().err


def test_quantizing_after_training_keeps_the_meaning(run_folder: Path) -> None:
    source = str(run_folder / "run" / "float.safetensors")
    words = ["--calibration", "generated:attributes:calibration:16", "--effort", "fast", "--no-verify"]
    assert main(["quantize", source, "-o", str(run_folder / "ptq"), *words]) == 0
    manifest = open_artifact(run_folder / "ptq").manifest
    steps = manifest.quantization.steps
    assert steps is not None and steps.total.agreement is None  # the largest of independent scores decides nothing
    assert {output.scores for file in manifest.files for output in file.outputs} == {"independent"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--split", "generated:classify:val:4"], "has 6 classes, generated:classify:val has 8"),
        (
            ["--images", "{run}/images", "--labels", "{run}/wrong.csv"],
            "unknown column 'outlined'; did you mean 'outline'",
        ),
    ],
)
def test_labels_of_another_model_are_refused(
    run_folder: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (run_folder / "wrong.csv").write_text((run_folder / "labels.csv").read_text().replace("outlined", "outline"))
    assert main(["eval", str(run_folder / "int8"), *(word.format(run=run_folder) for word in words)]) in (1, 2)
    assert message in capsys.readouterr().err


def test_independent_labels_are_refused_where_classes_exclude_each_other(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = {"data.train": "generated:classify:train:8", "data.val": "none", "model.classes": "8"}
    words = [
        word
        for key, value in {**SMALL, **changed, "train.positive_weights": "none"}.items()
        for word in ("--set", f"{key}={value}")
    ]
    assert main(["train", str(RECIPE), "-o", str(run_folder / "classes"), "--phase", "float", *words]) == 0
    names = ",".join(read_checkpoint(run_folder / "classes" / "float.safetensors").labels.names)
    table = run_folder / "classes.csv"
    table.write_text(f"file,{names}\n0.png{',0' * 8}\n")
    asked = ["--images", str(run_folder / "images"), "--labels", str(table)]
    assert main(["eval", str(run_folder / "classes" / "float.safetensors"), *asked]) == 2
    assert "has independent labels, and the classes of" in capsys.readouterr().err
    words = ["--init", str(run_folder / "classes" / "float.safetensors"), "--set", "model.classes=8"]
    assert main(["train", str(RECIPE), "-o", str(run_folder / "clash"), *SETTINGS, *words]) == 2
