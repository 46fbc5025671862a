"""`edge train --images`: no recipe is needed, and the one that is written trains the same again."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from edge.cli.main import main
from edge.data.decode import read_image
from edge.data.generated import generated_split
from edge.engines.python_child import code_arguments
from tests.conftest import ROOT

pytestmark = pytest.mark.unhurried

SMALL = ["--set", "model.width=0.25", "--set", "model.resolution=32", "--epochs", "1", "--set", "qat.epochs=1"]
SMALL += ["--set", "train.batch_size=8", "--set", "qat.batch_size=8", "--threads", "1"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of 24 drawn images."""
    folder = tmp_path_factory.mktemp("own") / "photos"
    split = generated_split("classify", "train", 24)
    for index in range(len(split)):
        place = folder / f"class {split.label(index) % 2}"
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{split.name(index)}.png"), split.image(index)[..., ::-1])
    return folder


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_the_written_recipe_trains_the_same_again(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["train", "--images", str(photos), "--holdout", "0.2", "-o", str(first), *SMALL]) == 0
    told = capsys.readouterr()
    assert told.out == f"{first / 'qat.safetensors'}\n"
    assert "mobilenet_v2 at 32x32 for 2 classes, from random weights, 1 epoch" in told.err
    assert f"19 images of {photos} to train on, 5 images of {photos} (held out) to validate on" in told.err
    steps = [line for line in told.err.splitlines() if line.startswith(("next: ", "then: "))]
    assert steps == [
        f"next: edge convert {first}/qat.safetensors -o {first}_int8",
        f"then: edge verify {first}_int8 --split recipe:{first}:val",
        f"then: edge camera {first}_int8 --source 0",
    ]
    assert main(["train", str(first / "recipe.toml"), "-o", str(second), "--threads", "1", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["checkpoint"] == str(second / "qat.safetensors") and row["metrics"]["images"] == 5
    assert losses(first) == losses(second)
    assert (first / "recipe.toml").read_text() == (second / "recipe.toml").read_text()


def test_what_was_held_out_is_what_other_verbs_look_at(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["train", "--images", str(photos), "-o", str(run), "--phase", "float", *SMALL]) == 0
    capsys.readouterr()
    found = []
    for words in ([], ["--split", f"recipe:{run}:val"], ["--split", f"recipe:{run}/recipe.toml:val"]):
        assert main(["eval", str(run / "float.safetensors"), "--json", *words]) == 0
        found.append(json.loads(capsys.readouterr().out))
    trained = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["val"]
    assert {row["split_sha256"] for row in found} == {trained["split_sha256"]}
    assert main(["train", "-o", str(run), "--resume", "--phase", "float"]) == 0  # it is done: nothing is trained


def test_a_run_stopped_before_its_first_state_has_nothing_to_resume(
    road: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.toml").write_text((road / "run" / "recipe.toml").read_text())
    assert main(["train", "-o", str(tmp_path), "--resume"]) == 1
    assert "there is nothing to resume; omit --resume" in capsys.readouterr().err


def test_an_interrupted_training_says_how_it_goes_on(road: Path, tmp_path: Path) -> None:
    words = ["train", str(road / "run" / "recipe.toml"), "-o", "again", "--set", "train.epochs=500"]
    code = code_arguments("from edge.__main__ import run\nrun()", words)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = subprocess.Popen(
        [sys.executable, *code], stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    )
    with command:
        assert command.stderr is not None
        for line in command.stderr:
            if line.startswith("float epoch 2:"):
                command.send_signal(signal.SIGINT)
                break
        last = command.stderr.read().splitlines()[-1]
    assert command.returncode == 130
    assert last == "edge train: interrupted; edge train -o again --resume goes on"


def test_another_run_s_weights_start_a_training_with_other_classes(
    photos: Path, road: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = ["--init", str(road / "run"), "--epochs", "0", "--phase", "float", "--threads", "1"]
    assert main(["train", "--images", str(photos), "-o", str(run), *words]) == 0
    assert "network and preprocessing as its own recipe has them" in capsys.readouterr().err
    text = (run / "recipe.toml").read_text()
    assert "width = 0.25" in text and 'fit = "stretch"' in text and "classes = 2" in text


def test_a_damaged_image_is_named_and_left_out_where_that_is_asked_for(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    broken = tmp_path / "photos" / "class 0" / "broken.png"
    broken.write_bytes(b"\x89PNG and nothing more")
    words = ["train", "--images", str(tmp_path / "photos"), *SMALL, "--epochs", "0", "--phase", "float"]
    assert main([*words, "-o", str(tmp_path / "refused")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "broken.png" in line and "--skip-damaged" in line
    assert main([*words, "--skip-damaged", "-o", str(tmp_path / "run")]) == 0
    assert "1 of 25 images are omitted" in capsys.readouterr().err
    assert "skip_damaged = true" in (tmp_path / "run" / "recipe.toml").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "what to train: give --images FOLDER, or a recipe"),
        (["mobilenet_v2_generated", "--images", "{photos}"], "--images is in place of a recipe"),
        (["mobilenet_v2_generated", "--labels", "l.txt"], "--labels without --images"),
        (["--images", "{photos}", "--data-root", "x"], "--data-root is of a recipe"),
        (["--images", "{photos}", "--val-labels", "x"], "go with --val-images"),
        (["--images", "{photos}", "--val-images", "{photos}", "--holdout", "0.3"], "omit --holdout"),
        (["--images", ""], "--images is empty"),
        (["--images", "{photos}", "--val-images", ""], "--val-images is empty"),
        (["--images", "{photos}", "--holdout", "1"], "--holdout is a share below 1"),
        (["--images", "{photos}", "--model", "mobilenet_v3"], "unknown model 'mobilenet_v3'; did you mean"),
        (["--images", "{photos}", "--model", "fast_scnn"], "fast_scnn for 'segment'"),
        (["--images", "{photos}/class 0"], "images alone, nothing to learn"),
        (["--images", "{photos}", "--set", "train.epoch=3"], "[train] unknown key 'epoch'; did you mean 'epochs'?"),
    ],
)
def test_what_cannot_hold_is_refused_in_one_line(
    words: list[str], said: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [word.format(photos=photos, tmp=tmp_path) for word in words]
    assert main(["train", "-o", str(tmp_path / "run"), *filled]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("edge train: ") and said in line


def test_a_folder_that_is_divided_already_is_trained_on_and_validated_on_as_it_is(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("train", "valid", "test"):
        shutil.copytree(photos, tmp_path / "own" / part)
    shutil.rmtree(tmp_path / "own/valid/class 0")
    (tmp_path / "own/train/class 0/bad.jpg").write_bytes(b"")
    words = ["train", "--images", str(tmp_path / "own"), "-o", str(tmp_path / "run"), "--phase", "float", *SMALL]
    assert main(words) == 1
    assert "bad.jpg: the file is empty; --skip-damaged" in capsys.readouterr().err
    assert main([*words, "--skip-damaged"]) == 0
    told = capsys.readouterr().err
    assert "divided already: trains on 'train', validates on 'val'" in told and "is left for `edge eval`" in told
    assert f"1 of 25 images are omitted: {tmp_path}/own/train/class 0/bad.jpg: the file is empty" in told
    val = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])["val"]
    assert (val["images"], val["skipped_damaged"]) == (9, 0)


def test_one_class_alone_is_refused(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(photos / "class 0", tmp_path / "own/class 0")
    assert main(["train", "--images", str(tmp_path / "own"), "-o", str(tmp_path / "run"), *SMALL]) == 1
    assert "all 13 images are of one class, 'class 0'" in capsys.readouterr().err


def test_images_that_came_later_are_not_taken_for_those_held_out(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is held out depends on all images of a class, so that others may be trained on already."""
    folder, run = tmp_path / "photos", tmp_path / "run"
    shutil.copytree(photos, folder)
    words = ["train", "--images", str(folder), "--holdout", "0.2", "-o", str(run), "--phase", "float", *SMALL]
    assert main(words) == 0
    for image in sorted((folder / "class 0").iterdir())[:6]:
        cv2.imwrite(str(image.with_name(f"later_{image.name}")), 255 - read_image(image))
    for later in (
        [*words, "--resume"],
        ["train", "-o", str(run), "--resume"],
        ["train", str(run / "recipe.toml"), "-o", str(run), "--phase", "qat", "--threads", "1"],
        ["eval", str(run / "float.safetensors")],
        ["eval", str(run / "float.safetensors"), "--split", f"recipe:{run}:val"],
    ):
        capsys.readouterr()
        assert main(later) == 2
        assert "have changed since" in capsys.readouterr().err
    assert main(["eval", str(run / "float.safetensors"), "--images", str(folder)]) == 0
