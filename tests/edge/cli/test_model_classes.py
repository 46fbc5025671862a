"""A user's labels mean the model's classes, however they are given, in every verb that judges accuracy."""

import json
from pathlib import Path

import cv2
import pytest

from edge.artifact.manifest import open_artifact
from edge.cli.main import main
from edge.data.open_split import open_split


@pytest.fixture(scope="module")
def pictures(road: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pictures of at most five classes: flat with labels by index and by name, and one folder per class."""
    folder = tmp_path_factory.mktemp("pictures")
    names = open_artifact(road / "int8").manifest.labels.names
    split = open_split(split="generated:classify:val:60")
    chosen = [index for index in range(len(split)) if split.label(index) in (0, 2, 4, 5, 7)][:24]
    (folder / "flat").mkdir()
    for index in chosen:
        image = cv2.cvtColor(split.image(index), cv2.COLOR_RGB2BGR)
        label = split.label(index)
        (folder / "folders" / names[label]).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "flat" / f"{index}.png"), image)
        cv2.imwrite(str(folder / "folders" / names[label] / f"{index}.png"), image)
    rows = [(f"{index}.png", split.label(index)) for index in chosen]
    (folder / "index.tsv").write_text("".join(f"{name}\t{label}\n" for name, label in rows))
    (folder / "name.tsv").write_text("".join(f"{name}\t{names[label]}\n" for name, label in rows))
    return folder


def top1(capsys: pytest.CaptureFixture[str], *words: str) -> float:
    """Top-1 that a verb's JSON gives for the INT8 file."""
    capsys.readouterr()
    assert main([*words, "--json"]) in (0, 1)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    if words[0] == "eval":
        return float(lines[0]["top1"])
    return float(
        next(line for line in lines if line.get("check") == "accuracy" and "litert" in line["subject"])["value"]
    )


@pytest.mark.parametrize("verb", ["eval", "verify"])
def test_names_indices_and_class_folders_are_the_same_labels(
    road: Path, pictures: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder lacks three of the eight classes, so an order of its own would be another one."""
    subject = [verb, str(road / "int8"), "--images"]
    by_index = top1(capsys, *subject, str(pictures / "flat"), "--labels", str(pictures / "index.tsv"))
    assert top1(capsys, *subject, str(pictures / "flat"), "--labels", str(pictures / "name.tsv")) == by_index
    assert top1(capsys, *subject, str(pictures / "folders")) == by_index


@pytest.mark.parametrize("verb", ["eval", "verify"])
def test_a_class_that_the_model_does_not_know_is_refused(
    road: Path, pictures: Path, tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the nearest name."""
    text = (pictures / "name.tsv").read_text().splitlines()[0].split("\t")[0]
    (tmp_path / "labels.tsv").write_text(f"{text}\ttrafic light\n")
    arguments = ["--images", str(pictures / "flat"), "--labels", str(tmp_path / "labels.tsv")]
    assert main([verb, str(road / "int8"), *arguments]) == 1
    assert "did you mean 'traffic light'" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["eval", "verify"])
@pytest.mark.parametrize("shifted", [False, True])
def test_the_same_classes_in_another_order_are_refused(
    road: Path, pictures: Path, tmp_path: Path, verb: str, shifted: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A class file that sorts them otherwise, or has one before them, would score wrong answers as right."""
    names = open_artifact(road / "int8").manifest.labels.names
    theirs = ("another", *names[:6], names[7]) if shifted else tuple(reversed(names))
    (tmp_path / "classes.txt").write_text("".join(f"{name}\n" for name in theirs))
    arguments = ["--images", str(pictures / "flat"), "--labels", str(pictures / "name.tsv")]
    assert main([verb, str(road / "int8"), *arguments, "--classes", str(tmp_path / "classes.txt")]) == 2
    assert "in another order" in capsys.readouterr().err


def test_images_without_labels_are_refused_by_eval(
    road: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says what to give."""
    assert main(["eval", str(road / "int8"), "--images", str(pictures / "flat")]) == 2
    assert "has no labels; give --labels FILE" in capsys.readouterr().err


def test_masks_are_refused_for_a_classifier(road: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By verify as by eval."""
    assert main(["verify", str(road / "int8"), "--split", "generated:segment:val:4"]) == 2
    assert "is for 'classify', generated:segment:val for 'segment'" in capsys.readouterr().err
