"""docs/own_data.md: every `edge` line runs as it stands, in order, on small photographs."""

import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edge.cli.main import main
from edge.data.generated import generated_split
from edge.models.registry import build
from tests.conftest import ROOT
from tests.support.weight_layouts import renamed

TEXT = (ROOT / "docs" / "own_data.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)```", TEXT, re.DOTALL | re.MULTILINE)
LINES = [line for block in BLOCKS for line in block.splitlines() if line.startswith("edge ")]
# What a test has no time for: more epochs than one, larger inputs, more threads than one.
SMALL = ["--epochs", "1", "--threads", "1"]
SMALL += ["--set", "qat.epochs=1", "--set", "train.batch_size=4", "--set", "qat.batch_size=4"]
CLASSES = ("cat", "dog")
COUNT = 12


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the page's reader has."""
    folder = tmp_path_factory.mktemp("reader")
    drawn = generated_split("classify", "train", COUNT)
    images = [drawn.image(index)[..., ::-1] for index in range(COUNT)]
    for index, image in enumerate(images):
        for within in ("photos", "photos_of_another_day", "photos_with_damage"):
            write(folder / within / CLASSES[index % 2] / f"{index}.png", image if within == "photos" else image[::-1])
        write(folder / "pictures" / f"{index}.png", image)
    (folder / "photos_with_damage" / "cat" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    rows = [f"{index}.png,{CLASSES[index % 2]}" for index in range(COUNT)]
    (folder / "labels.csv").write_text("\n".join(["filename,label", *rows]))
    rows = [f"{index}.png,{index % 2},{index // 2 % 2},{index % 3 % 2}" for index in range(COUNT)]
    (folder / "attributes.csv").write_text("\n".join(["filename,round,red,large", *rows]))
    scenes = generated_split("segment", "train", 6)
    colours = np.array([[30 * index, 200, 10] for index in range(len(scenes.classes))], np.uint8)
    for index in range(6):
        write(folder / "street" / f"{index}.jpg", scenes.image(index)[:96, :128, ::-1])
        write(folder / "street_masks" / f"{index}.png", colours[scenes.mask(index)[:96, :128]][..., ::-1])
    named = zip(scenes.classes, colours.tolist(), strict=True)
    (folder / "classes.txt").write_text("\n".join(f"{name} {r} {g} {b}" for name, (r, g, b) in named))
    film = cv2.VideoWriter(str(folder / "film.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 5, (96, 96))
    for image in images:
        film.write(np.ascontiguousarray(image))
    film.release()
    model = weights(np.stack(images))
    save_file(renamed(model, "timm"), folder / "mobilenet_v2.safetensors")
    torch.save(renamed(model, "torchvision"), folder / "mobilenet_v2-7ebf99e0.pth")
    return folder


def weights(images: np.ndarray) -> nn.Module:
    """Narrow and untrained; with the statistics of these images (n, h, w, 3) its features tell them apart."""
    model = build("mobilenet_v2", classes=8, width=0.35, resolution=64)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # the mean of all batches
    with torch.no_grad():
        model.train()(torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1)
    return model


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.ascontiguousarray(image))


@pytest.mark.slow
def test_every_line_runs(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`edge verify` may say that a network of one epoch does not ship; that is its answer, and no failure."""
    monkeypatch.chdir(place)
    for line in LINES:
        words = shlex.split(line)[1:]
        if words[0] == "train":
            words += SMALL if "--masks" in words else [*SMALL, "--set", "model.resolution=64"]
        status = main(words)
        told = capsys.readouterr()
        answered = words[0] == "verify" and told.out.splitlines()[-1].startswith("do not ship: ")
        assert status == (1 if answered else 0), (line, told.err)
    assert (place / "drawn.mp4").is_file() and len(list((place / "drawn_street").glob("*.png"))) == 6


def test_the_road_is_at_most_ten_lines() -> None:
    assert len(BLOCKS[0].splitlines()) <= 10 and BLOCKS[0].count("\nedge ") == 4
