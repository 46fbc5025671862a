"""Other input sizes of one checkpoint from the command line: eval, convert, quantize, and the table of `edge sizes`."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from edge.artifact.manifest import open_artifact
from edge.cli.main import main
from edge.data.model_classes import labels_of
from edge.data.open_split import open_split
from edge.graph.importers.onnx.reader import read_onnx
from edge.quantization.qat.phase import CALIBRATE
from edge.quantization.qat.prepare import set_phase
from edge.recipe.recipe_file import parse_recipe
from edge.training.checkpoint import Checkpoint, read_checkpoint, restore_module, write_checkpoint
from edge.training.network import prepared_module
from tests.edge.training.conftest import segmenter_tree
from tests.support.networks import with_statistics

pytestmark = pytest.mark.unhurried  # networks are quantized and run

IMAGES = "generated:segment:train:2"
CALIBRATION = ["--calibration", IMAGES]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with float.safetensors and qat.safetensors of Fast-SCNN at 64x64, random weights."""
    folder = tmp_path_factory.mktemp("sizes")
    torch.set_num_threads(1)
    recipe = parse_recipe(segmenter_tree(), "tests")
    labels = labels_of(open_split(split=IMAGES))
    network = with_statistics(recipe)
    common: dict[str, Any] = {"recipe": recipe, "labels": labels, "metrics": {}}
    sha256 = write_checkpoint(
        folder / "float.safetensors", Checkpoint(kind="float", tensors=network.state_dict(), **common)
    )
    model = prepared_module(recipe, network)
    set_phase(model, CALIBRATE)
    with torch.no_grad():
        model.train()(torch.rand(2, 3, 64, 64) * 2 - 1)
    qat = Checkpoint(kind="qat", tensors=model.state_dict(), parent_sha256=sha256, **common)
    write_checkpoint(folder / "qat.safetensors", qat)
    return folder


def printed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("kind", ["float", "qat"])
def test_the_table_is_exact_at_every_size_and_says_what_eval_says(
    kind: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, sizes = str(run / f"{kind}.safetensors"), ["64x64", "72x100", "96x96"]
    words = ["--sizes", ",".join(sizes), *CALIBRATION, "--no-latency", "--json", "-o", str(tmp_path / "out")]
    assert main(["sizes", source, *words]) == 0
    rows = printed(capsys)
    assert [(row["resolution_hw"], row["precision"]) for row in rows] == [
        (size, precision) for size in ([64, 64], [72, 100], [96, 96]) for precision in ("float32", "int8")
    ]
    assert [row["differing"] for row in rows[1::2]] == [0, 0, 0] and all(row["values"] for row in rows[1::2])
    assert rows[1]["multiply_adds"] < rows[3]["multiply_adds"] < rows[5]["multiply_adds"]
    assert len({row["parameters"] for row in rows}) == 1
    assert [bool(row["note"]) for row in rows[::2]] == [False, True, False]
    for size, row in zip(sizes[1:], rows[2::2], strict=True):
        assert main(["eval", str(run / "float.safetensors"), "--input-size", size, "--json"]) == 0
        (evaluated,) = printed(capsys)
        assert (evaluated["miou"], evaluated["boundary_miou"]) == (row["value"], row["boundary_miou"])
    manifest = open_artifact(tmp_path / "out" / "72x100_int8").manifest
    assert (manifest.preprocess.height, manifest.preprocess.width) == (72, 100)
    assert manifest.provenance.trained_resolution_hw == (64, 64)
    assert manifest.provenance.recipe is not None and manifest.provenance.recipe["model"]["resolution_hw"] == [64, 64]
    assert manifest.quantization.method == ("ptq" if kind == "float" else "qat")
    assert manifest.quantization.calibration_images == 2
    assert open_artifact(tmp_path / "out" / "64x64_float").manifest.provenance.trained_resolution_hw is None


def test_convert_says_the_size_and_keeps_the_trained_weights(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, folder = str(run / "qat.safetensors"), tmp_path / "wide"
    words = ["--input-size", "64x96", *CALIBRATION, "--head", "class_map", "--no-verify"]
    assert main(["convert", source, "-o", str(folder), *words]) == 0
    assert "input 64x96, trained at 64x64" in capsys.readouterr().out
    assert main(["convert", source, "-o", str(tmp_path / "own"), "--head", "class_map", "--no-verify"]) == 0
    wide, own = (read_onnx(path / "source.onnx") for path in (folder, tmp_path / "own"))
    weights = {
        name: tensor for name, tensor in own.tensors.items() if tensor.dtype == "int8" and tensor.data is not None
    }
    assert len(weights) > 40
    assert all((wide.tensors[name].data == tensor.data).all() for name, tensor in weights.items())
    capsys.readouterr()
    assert main(["inspect", str(folder)]) == 0
    assert "trained at 64x64" in capsys.readouterr().out
    file = str(tmp_path / "alone.tflite")
    assert main(["convert", source, "-o", file, "--input-size", "64x96", *CALIBRATION]) == 0


def test_eval_of_a_qat_checkpoint_observes_its_ranges(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(run / "qat.safetensors")
    assert main(["eval", source, "--input-size", "72x64", *CALIBRATION, "--calibration-samples", "1"]) == 0
    assert "qat, at 72x64, trained at 64x64" in capsys.readouterr().out.replace("\n", " ")
    sized = read_checkpoint(source)
    assert restore_module(sized).graph is not None and sized.trained_hw is None, "the file is as it was"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["eval", "float", "--input-size", "64y96"], "'64y96' is no size: give HEIGHTxWIDTH as 256x512"),
        (["eval", "float", "--input-size", "48"], "--input-size 48x48: model 'fast_scnn': resolution_hw: height is 48"),
        (["eval", "float", "--input-size", "96", *CALIBRATION], "a float checkpoint has no ranges to observe"),
        (["eval", "qat", "--input-size", "96"], "ranges of this checkpoint were trained at 64x64"),
        (["eval", "qat", *CALIBRATION], "--calibration is for a QAT checkpoint at another --input-size"),
        (["convert", "qat", "-o", "{tmp}/a", "--input-size", "96"], "name images to observe them on again"),
        (["convert", "qat", "-o", "{tmp}/a", *CALIBRATION], "at its own a checkpoint carries its ranges"),
        (["convert", "{tmp}/x.onnx", "-o", "{tmp}/a", "--input-size", "96"], "--input-size is for checkpoints"),
        (["quantize", "qat", "-o", "{tmp}/a", "--input-size", "96", *CALIBRATION], "`edge convert`"),
        (["sizes", "float", "--sizes", "96,96"], "'96,96' names a size twice"),
        (["sizes", "float", "--sizes", "96,32"], "--input-size 32x32: model 'fast_scnn'"),
        (["sizes", "float", "--sizes", "96", "--split", "generated:classify:val:2"], "is for 'segment', generated:"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: list[str], message: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.onnx").write_bytes(b"no model")
    named = {"float": str(run / "float.safetensors"), "qat": str(run / "qat.safetensors")}
    assert main([named.get(word, word).replace("{tmp}", str(tmp_path)) for word in words]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert not (tmp_path / "a").exists()


def test_a_folder_that_cannot_be_made_is_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    words = ["--sizes", "64", "--split", IMAGES, *CALIBRATION, "--no-latency", "-o", str(taken)]
    assert main(["sizes", str(run / "float.safetensors"), *words]) == 1
    assert capsys.readouterr().err == f"edge sizes: {taken}: cannot be made: File exists\n"
    assert taken.read_text() == "mine"
