"""The official MobileNet, DeepLab and Visual Wake Words files as artifacts: every byte theirs, every answer exact."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.convert.wrap import WrapOptions, wrap_file
from converters.packaging.starter_card import starter_card
from edge.artifact.manifest import Artifact
from edge.data.open_split import open_split
from edge.data.splits import Split
from edge.engines.engine import open_session
from edge.errors import UsageError
from edge.predictor.predictor import Predictor
from edge.tasks.accuracy import accuracy
from edge.verification.verify import Request, verify
from edge.vision.pixels import resize
from tests.support.preprocess_text import preprocess_text

# name -> size, mean and std that give pixels as they are (zero point, 1 / scale), exact where there are integers
CLASSIFIERS = {
    "mobilenet_v1_0.25_128_quant": (128, 128.0, 128.0),
    "mobilenet_v2_1.0_224_quant": (224, 128.0, 128.0),
    "tf2_mobilenet_v2_1.0_224_ptq": (224, 127.0, 127.5),
    "mobilenet_v1_0.25_224_1_default_1": (224, 127.5, 127.5),
    "mobilenet_v1_0.25_224_quant": (224, 128.0, 128.0),
    "mobilenet_v1_0.5_160_quant": (160, 128.0, 128.0),
    "mobilenet_v1_0.75_192_quant": (192, 128.0, 128.0),
    "mobilenet_v1_1.0_224_quant_joined": (224, 128.0, 128.0),
}
SEGMENTERS = (
    "deeplabv3_mnv2_dm05_pascal_quant",
    "deeplab_mobilenet_edgetpu_slim_cityscapes_quant",
    "deeplabv3_mnv2_pascal_quant",
)


def some_slow(names: Iterable[str], quick: int) -> list[Any]:
    """The first ones in every run, the others in the sweep."""
    return [pytest.param(name, marks=pytest.mark.slow if place >= quick else ()) for place, name in enumerate(names)]


def card_of(folder: Path, task: str, names: tuple[str, ...], size: int, mean: float, std: float, fit: str) -> Path:
    text = preprocess_text(size, size, fit=fit, crop_fraction=0.875 if fit == "crop" else 1.0)
    text = text.replace("mean = [127.5, 127.5, 127.5]", f"mean = [{mean}, {mean}, {mean}]")
    text = text.replace("std = [127.5, 127.5, 127.5]", f"std = [{std}, {std}, {std}]")
    (folder / "labels.txt").write_text("\n".join(names))
    card = folder / "card.toml"
    card.write_text(f'task = "{task}"\n{text}[labels]\nfile = "labels.txt"\n')
    return card


def photographs(test_data: Path, folder: Path, count: int, names: tuple[str, ...]) -> Split:
    """Some labelled photographs; 1001 classes, the first is background."""
    lines = (test_data / "imagenet_samples" / "dev_labels.txt").read_text().splitlines()
    chosen = [lines[index * len(lines) // count].split("\t") for index in range(count)]
    (folder / "classes.txt").write_text("\n".join(names))
    (folder / "labels.csv").write_text("\n".join(f"{name},{int(index) + 1}" for name, index in chosen))
    images = test_data / "imagenet_samples" / "dev"
    return open_split(images=str(images), labels=str(folder / "labels.csv"), classes=str(folder / "classes.txt"))


def imagenet_names(test_data: Path) -> tuple[str, ...]:
    return tuple((test_data / "models" / "imagenet_1001_labels.txt").read_text().splitlines())


def wrapped(test_data: Path, name: str, card: Path) -> Artifact:
    source = test_data / "models" / f"{name}.tflite"
    artifact = wrap_file(source, card.parent / "artifact", WrapOptions(card=card))
    assert artifact.read("model.tflite") == source.read_bytes()
    return artifact


@pytest.mark.parametrize("name", some_slow(CLASSIFIERS, 4))
def test_classifiers_answer_as_the_file_does(test_data: Path, tmp_path: Path, name: str) -> None:
    """The self-test, the simulation and photographs: 0 values differ, and top-1 is that of the file's raw answers."""
    size, mean, std = CLASSIFIERS[name]
    names = imagenet_names(test_data)
    artifact = wrapped(test_data, name, card_of(tmp_path, "classify", names, size, mean, std, "crop"))
    split = photographs(test_data, tmp_path, 12, names)
    report = verify(artifact, Request(split=split, samples=12, operator_samples=1))
    findings = {finding.check: finding for finding in report.verdict.findings}
    if artifact.manifest.precision == "int8":
        assert findings["end to end"].data["differing"] == 0 and findings["end to end"].passed is True
        assert findings["operators"].data["operators_differing"] == 0
    assert report.verdict.ship and findings["accuracy"].passed is None  # there is no parent to compare with
    predictor = Predictor.load(artifact)
    found = accuracy(split, lambda frames: [predictor.values(frame, format="rgb") for frame in frames])
    session, right = open_session("litert", test_data / "models" / f"{name}.tflite"), 0
    for index in range(12):
        pixels = resize(split.image(index), artifact.manifest.preprocess)[None]
        # Pixels as they are, which is what mean and std were chosen for.
        raw = pixels if session.inputs[0].dtype == "uint8" else (pixels / np.float32(127.5) - 1).astype(np.float32)
        right += int(session.run([raw])[0].argmax() == split.label(index))
    assert found["top1"] == right / 12 and (right >= 8 or "0.25" in name)


@pytest.mark.parametrize("name", some_slow(SEGMENTERS, 2))
def test_segmenters_answer_class_maps(test_data: Path, tmp_path: Path, name: str) -> None:
    """An arg-max of 513x513 cells, exact in the simulation; another number of names is refused."""
    classes = 21 if "pascal" in name else 19
    names = tuple(f"class {index}" for index in range(classes))
    card = card_of(tmp_path, "segment", names, 513, 128.0, 128.0, "stretch")
    artifact = wrapped(test_data, name, card)
    output = artifact.manifest.files[0].outputs[0]
    assert (output.meaning, output.dtype, output.shape, output.stride) == ("class_map", "int64", (1, 513, 513), 1)
    findings = {f.check: f for f in verify(artifact, Request(samples=1, operator_samples=1)).verdict.findings}
    assert findings["end to end"].passed is True and findings["end to end"].data["differing"] == 0
    assert findings["operators"].data["operators_differing"] == 0
    frame = np.zeros((90, 120, 3), np.uint8)
    assert Predictor.load(artifact)(frame).class_map.shape == (90, 120)  # type: ignore[attr-defined]
    wrong = card_of(tmp_path, "segment", names[1:], 513, 128.0, 128.0, "stretch")
    with pytest.raises(UsageError, match=f"{classes - 1} class names, and the file's ArgMax chooses from {classes}"):
        wrapped(test_data, name, wrong)


def begun_card(test_data: Path, folder: Path, name: str) -> Path:
    """The card that the file begins, and what its publisher says beside it: bilinear, 0.875 of the middle, -1 to 1."""
    said = {"colour_order": '"rgb"', "interpolation": '"bilinear"', "fit": '"crop"', "file": '"labels.txt"'}
    said |= dict.fromkeys(("mean", "std"), "[127.5, 127.5, 127.5]")
    text = "\n".join(starter_card(test_data / "models" / f"{name}.tflite"))
    for key, value in said.items():
        text = re.sub(rf'^{key} = "FILL IN"', f"{key} = {value}", text, flags=re.MULTILINE)
    (folder / "labels.txt").write_text("\n".join(imagenet_names(test_data)))
    card = folder / "card.toml"
    card.write_text(text.replace("crop_fraction = 1.0", "crop_fraction = 0.875"))
    return card


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_accuracy_on_500_photographs_is_that_of_the_file_alone(test_data: Path, tmp_path: Path, name: str) -> None:
    """Measured without this product, by the table of the data's README: top-1 and top-5, not one photograph more."""
    row = re.search(rf"^\| {re.escape(name)} \|.*$", (test_data / "README.md").read_text(), re.MULTILINE)
    assert row is not None
    told = [float(cell) for cell in row.group().split("|")[4:6]]
    predictor = Predictor.load(wrapped(test_data, name, begun_card(test_data, tmp_path, name)))
    split = photographs(test_data, tmp_path, 500, imagenet_names(test_data))
    found = accuracy(split, lambda frames: [predictor.values(frame, format="rgb") for frame in frames])
    assert [round(100 * found[key], 1) for key in ("top1", "top5")] == told


@pytest.mark.parametrize("name", ["vww_96_int8", "vww_96_float"])
def test_visual_wake_words(test_data: Path, tmp_path: Path, name: str) -> None:
    """Signed integers at 1 / 255, and float: both ship."""
    card = card_of(tmp_path, "classify", ("no person", "person"), 96, 0.0, 255.0, "stretch")
    artifact = wrapped(test_data, name, card)
    assert verify(artifact, Request()).verdict.ship
    assert artifact.manifest.files[0].outputs[0].meaning == "probabilities"
