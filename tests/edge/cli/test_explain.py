"""`edge explain`: pictures, arrays and figures of checkpoints and artifacts, and what is refused."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from edge.artifact.manifest import open_artifact
from edge.cli.main import main
from edge.engines.engine import open_session
from edge.vision.encoding import input_encoder
from edge.vision.pixels import resize
from edge.vision.postprocess import probabilities


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "a.png"
    noise = np.random.default_rng(2).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.resize(noise, (60, 45), interpolation=cv2.INTER_CUBIC))
    return path


def told(words: list[str], capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_float_checkpoint(road: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = road / "run" / "float.safetensors"
    (found,) = told(["explain", str(checkpoint), str(photo), "-o", str(tmp_path)], capsys)
    array, channels = (np.load(found[key]) for key in ("array", "channels"))
    assert array.shape == (32, 32) and channels.shape == (32, 32, 3) and array.dtype == channels.dtype == np.float32
    np.testing.assert_allclose(channels.sum(axis=2), array, atol=1e-6)
    assert float(array.sum()) == pytest.approx(found["sum"], abs=1e-5)
    assert found["kind"] == "float" and found["simulated_score"] is None
    assert found["complete"] == (found["completeness_error"] <= 0.01)
    picture = cv2.imread(str(found["picture"]))
    assert picture.shape == (45, 60, 3)


def test_a_float_artifact_is_explained_as_its_checkpoint(
    road: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(photo), "--class", "3", "--max-steps", "20", "-o", str(tmp_path)]
    (first,) = told(["explain", str(road / "run" / "float.safetensors"), *words], capsys)
    array = np.load(str(first["array"]))
    (second,) = told(["explain", str(road / "float"), *words], capsys)
    assert first["index"] == second["index"] == 3 and second["kind"] == "float"
    np.testing.assert_allclose(np.load(str(second["array"])), array, atol=0.02 * np.abs(array).max())


@pytest.mark.parametrize("subject", ["int8", "run/qat.safetensors"])
def test_integers_are_explained_by_the_simulation(
    road: Path, photo: Path, tmp_path: Path, subject: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The score explained is the one that LiteRT gives."""
    words = ["explain", str(road / subject), str(photo), "--class", "2", "--baseline", "mean", "-o", str(tmp_path)]
    (found,) = told([*words, "--max-steps", "20"], capsys)
    artifact = open_artifact(road / "int8")
    file = artifact.model_file("model.tflite")
    image = cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB)
    encode = input_encoder(file.inputs[0].described, artifact.manifest.preprocess)
    session = open_session("litert", artifact.file("model.tflite"))
    output = session.run([encode(resize(image, artifact.manifest.preprocess)[None])])[0]
    expected = float(probabilities(output, file.outputs[0].described)[2])
    assert found["kind"] == "int8"
    assert found["score"] == pytest.approx(expected, abs=1e-6) and found["simulated_score"] == pytest.approx(expected)
    assert np.abs(np.load(str(found["array"]))).max() > 0


def test_two_models_side_by_side(road: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = [str(road / "int8"), str(photo), "--compare", str(road / "run" / "float.safetensors")]
    (found,) = told(["explain", *pair, "--max-steps", "20", "-o", str(tmp_path)], capsys)
    assert str(found["reference"]).endswith("float.safetensors")
    assert cv2.imread(str(found["picture"])).shape == (45, 180, 3)
    assert -1 <= found["correlation"] <= 1 and found["floor_correlation"] > 0.9
    assert {path.name for path in tmp_path.iterdir()} == {
        *(f"a{middle}{ending}" for middle in ("", ".compared") for ending in (".png", ".npy", ".channels.npy")),
        "a.both.png",
    }


def test_two_models_over_a_split(road: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["explain", str(road / "run" / "float.safetensors"), "--compare", str(road / "int8"), "-n", "3"]
    words += ["--split", "generated:classify:val", "--max-steps", "20", "-o", str(tmp_path)]
    *rows, drift = told(words, capsys)
    assert [row["row"] for row in rows] == ["image"] * 3 and drift["row"] == "drift" and drift["images"] == 3
    assert drift["drift"] == pytest.approx(1 - np.mean([row["correlation"] for row in rows]))
    assert drift["elsewhere"] == [
        row["image"] for row in sorted(rows, key=lambda row: row["correlation"]) if row["elsewhere"]
    ]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "noise floor" in out and "looks elsewhere on" in out


def test_a_cap_is_said(road: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(road / "int8"), str(photo), "--max-steps", "1", "-o", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "1 steps" in out and "the integer simulation:" in out
    assert "more than 1 steps are not taken" in out


def test_a_cap_is_said_of_each_of_two_models(
    road: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["explain", str(road / "int8"), "--compare", str(road / "run" / "float.safetensors")]
    words += ["--max-steps", "1", "-o", str(tmp_path)]
    for images in ([str(photo)], ["--split", "generated:classify:val", "-n", "2"]):
        rows = [row for row in told([*words, *images], capsys) if "complete" in row]
        capsys.readouterr()
        assert main([*words, *images]) == 0
        out = " ".join(capsys.readouterr().out.split())
        for place, role in enumerate(("reference", "other")):
            count = sum(not row["complete"][place] for row in rows)
            where = f" on {count} of 2 images" if len(rows) > 1 else ""
            assert (f"{role}{where} over 1 %, and more than 1 steps are not taken" in out) == (count > 0)
        assert "over 1 %" in out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["{float}"], "give an IMAGE"),
        (["{float}", "{photo}", "--images", "."], "one of them"),
        (["{float}", "--images", "."], "are for --compare"),
        (["{float}", "{photo}", "-n", "3"], "are for --images or --split"),
        (["{float}", "{photo}", "--pixel", "3,4"], "omit the region"),
        (["{float}", "{photo}", "--pixel", "3,4", "--box", "0,0,3,3"], "give one of them"),
        (["{float}", "{photo}", "--box", "1,2,0,4"], "has no area"),
        (["{float}", "{photo}", "--box", "1,2,3"], "is not X,Y,WIDTH,HEIGHT"),
        (
            ["{float}", *["--compare", "{int8}", "--split", "generated:classify:val", "-n", "1", "--box", "0,0,3,3"]],
            "{float}: it has one score of a class for the whole image",
        ),
        (["{float}", "{photo}", "--gates", "--compare", "{int8}"], "omit --class"),
        (["{float}", "{photo}", "--class", "z"], "unknown class 'z'"),
        (["{int8}/model.tflite", "{photo}"], "is a model file alone"),
        (["{int8}/model.tflite", "{photo}", "--gates"], "is a model file alone"),
        (["{int8}/source.onnx", "{photo}", "--kernels"], "is a model file alone"),
        (["{weights}", "{photo}"], "edge train RECIPE --set train.init={weights} --epochs 0 --phase float"),
        (["{float}", "{photo}", "--baseline", "white"], "white"),
    ],
)
def test_what_cannot_hold_is_refused_in_one_line(
    road: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    weights = tmp_path / "weights.safetensors"
    save_file({"weight": torch.zeros(2)}, weights)
    places = {"float": str(road / "run" / "float.safetensors"), "int8": str(road / "int8"), "photo": str(photo)}
    places["weights"] = str(weights)
    assert main(["explain", *(word.format(**places) for word in words), "-o", str(tmp_path)]) in (1, 2)
    err = capsys.readouterr().err
    assert line.format(**places) in err and len(err.splitlines()) == 1


def test_a_photograph_is_never_overwritten(road: Path, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = photo.read_bytes()
    subjects = [str(road / "run" / "float.safetensors"), str(road / "int8")]
    folder = str(photo.parent)
    compared = [subjects[0], "--compare", subjects[1]]
    for words in ([subjects[0], str(photo)], [*compared, str(photo)], [*compared, "--images", folder]):
        assert main(["explain", *words, "-o", folder]) == 2
        err = capsys.readouterr().err
        assert "itself, which would be lost" in err and len(err.splitlines()) == 1
    assert photo.read_bytes() == before and [path.name for path in photo.parent.iterdir()] == [photo.name]


def test_an_image_that_is_its_own_baseline_stands_last(
    road: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a", "c", "d"):
        image = cv2.flip(cv2.imread(str(photo)), {"a": 0, "c": 1, "d": -1}[name])
        cv2.imwrite(str(images / f"{name}.png"), image)
    cv2.imwrite(str(images / "b.png"), np.zeros((45, 60, 3), np.uint8))
    words = ["explain", str(road / "run" / "float.safetensors"), "--compare", str(road / "int8")]
    assert main([*words, "--images", str(images), "--max-steps", "2", "-o", str(tmp_path / "out")]) == 0
    rows = [line.split("│")[1:] for line in capsys.readouterr().out.splitlines() if ".png" in line]
    correlations = [float(row[4]) for row in rows[:-1]]
    assert correlations == sorted(correlations) and len(correlations) == 3
    assert rows[-1][0].strip() == "b.png" and rows[-1][4].strip() == "nan"
