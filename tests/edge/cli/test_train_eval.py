"""`edge train` and `edge eval` from the command line: what they print, and one line for what is wrong."""

import json
from pathlib import Path

import cv2
import pytest

from edge.cli.main import main
from edge.data.open_split import open_split

pytestmark = pytest.mark.unhurried

RECIPE = Path(__file__).parents[3] / "edge" / "recipes" / "mobilenet_v1_generated.toml"
SMALL = {
    "data.train": "'generated:classify:train:16'",
    "data.val": "'generated:classify:val:8'",
    "model.resolution": "32",
    "preprocess.height": "32",
    "preprocess.width": "32",
    "train.batch_size": "8",
    "train.epochs": "1",
    "qat.batch_size": "8",
    "qat.epochs": "1",
    "qat.observe_batches": "1",
}
SETTINGS = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished small run."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    assert main(["train", str(RECIPE), "-o", str(folder), "--threads", "1", *SETTINGS]) == 0
    return folder


def test_eval_of_a_checkpoint_gives_the_accuracy_of_its_training(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("float", "qat"):
        assert main(["eval", str(run_folder / f"{name}.safetensors"), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        lines = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
        trained = next(line["val"] for line in lines if line["phase"] == name)
        assert {key: found[key] for key in ("top1", "top5", "images", "split_sha256")} == {
            key: trained[key] for key in ("top1", "top5", "images", "split_sha256")
        }


def test_eval_prints_a_table_and_keeps_to_the_limit(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--split", "generated:classify:val:20", "--samples", "6"]
    assert main(["eval", str(run_folder / "float.safetensors"), *arguments]) == 0
    out = capsys.readouterr().out
    assert "6 images" in out
    assert "top1" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "none.toml", "-o", "{tmp}/r"], 2, "edge train: none.toml: no such recipe"),
        (["train", str(RECIPE), "-o", "{tmp}/r", "--set", "train.epoch=1"], 2, "did you mean 'epochs'?"),
        (["train", str(RECIPE), "-o", "{run}"], 2, "holds a run"),
        (["train", str(RECIPE)], 2, "Missing option '-o'"),
        (["eval", "{tmp}/none.safetensors"], 2, "no such checkpoint"),
        (["eval", str(RECIPE)], 1, "is not a checkpoint"),
        (["eval", "{tmp}"], 1, "edge eval: {tmp}"),
        (["eval", "{run}/float.safetensors", "--engine", "litert"], 2, "convert it to an artifact first"),
        (["eval", "{run}/float.safetensors", "--split", "generated:segment:val:1"], 2, "is for 'classify', generated:"),
        (["eval", "{run}/float.safetensors", "--images", "{tmp}"], 1, "edge eval: "),
    ],
)
def test_what_is_wrong_is_one_line(
    arguments: list[str],
    code: int,
    message: str,
    run_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    filled = [word.format(tmp=tmp_path, run=run_folder) for word in arguments]
    found = main(filled)
    error = capsys.readouterr().err
    assert message.format(tmp=tmp_path, run=run_folder) in error
    assert error.count("\n") == 1
    assert found == code


def test_a_new_run_takes_the_place_of_nothing_that_it_is_made_from(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    recipe, parent = folder / "recipe.toml", folder / "qat.safetensors"
    recipe.write_text(RECIPE.read_text() + "# mine\n")
    parent.write_bytes((run_folder / "float.safetensors").read_bytes())
    pretrained = folder / "float.safetensors"
    pretrained.hardlink_to(parent)
    for arguments, named in (
        ([str(recipe)], recipe),
        ([str(RECIPE), "--phase", "qat", "--init", str(parent)], parent),
        ([str(RECIPE), "--set", f"train.init='{pretrained}'"], pretrained),
    ):
        before = {path: path.read_bytes() for path in folder.iterdir()}
        assert main(["train", "-o", str(folder), *SETTINGS, *arguments]) == 2
        assert f"is the input {named} itself, which would be lost" in capsys.readouterr().err
        assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", ["model.onnx", "model.tflite"])
def test_a_model_file_alone_is_told_from_a_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).write_bytes(bytes(100))
    assert main(["eval", str(tmp_path / name)]) == 1
    assert "is a model file alone" in capsys.readouterr().err
    assert main(["eval", str(tmp_path / f"none_{name}")]) == 2


def test_damaged_images_are_named_by_eval_or_left_out_and_counted(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = open_split(split="generated:classify:val:8")
    for index in range(8):
        place = tmp_path / drawn.classes[drawn.label(index)] / f"{index}.png"
        place.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(place), drawn.image(index))
    place.write_bytes(place.read_bytes()[:100])
    asked = ["eval", str(run_folder / "float.safetensors"), "--images", str(tmp_path), "--json"]
    assert main(asked) == 1
    assert f"{place}: a truncated PNG: the end chunk is missing; --skip-damaged" in capsys.readouterr().err
    assert main([*asked, "--skip-damaged"]) == 0
    out, error = capsys.readouterr()
    found = json.loads(out)
    assert (found["images"], found["skipped_damaged"]) == (7, 1) and str(place) in error
