"""What the reader of a page has at hand: photographs, labels, models, runs and artifacts under the names of the pages.

All of it is small: generated images, networks of a few channels, one epoch.
"""

import json
import re
import shutil
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import onnx
import torch
from safetensors.torch import save_file
from torch import nn

from edge.cli.main import main
from edge.data.generated import generated_split
from edge.models.registry import build
from tests.benchmarks.fleet import main as write_fleet
from tests.support.box_scenes import box_split
from tests.support.pages import ROOT
from tests.support.weight_layouts import renamed

CLASSES = ("cat", "dog")
CELLS = ("RBC", "WBC")
COUNT = 12
# name in the pages -> in which folder (of Reader, or the checkout) it lies, and where
FILES = {
    "calibration_data": ("checkout", "calibration_data"),
    "dev": ("checkout", "calibration_data/classify/images"),
    "rest.txt": ("checkout", "calibration_data/classify/labels.tsv"),
    "my": ("checkout", "calibration_data/classify"),
    "model.onnx": ("road", "float/model.onnx"),
    "float.onnx": ("road", "float/model.onnx"),
    "quantized.onnx": ("road", "int8/source.onnx"),
    "official.tflite": ("road", "int8/model.tflite"),
    "street.jpg": ("shelf", "street/0.jpg"),
    "drive.mp4": ("shelf", "film.mp4"),
    "photographs": ("shelf", "pictures"),
    "slides/a.jpg": ("shelf", "slides/0.jpg"),
    "slide.mp4": ("shelf", "film.mp4"),
    "more_street": ("shelf", "street"),
    "more_street_masks": ("shelf", "street_masks"),
    "main.jsonl": ("shelf", "fleet.jsonl"),
    "change.jsonl": ("shelf", "fleet.jsonl"),
    "fleet/1.jsonl": ("shelf", "fleet.jsonl"),
}
# pattern of a name -> whose run (`road`, or a property of Reader) or which artifact of it, the pattern's one group
MODELS = {
    r"runs/(?:mobilenet|v2)()": "road",
    r"runs/(?:street|camvid)()": "street",
    r"runs/cells()": "cells",
    r"cells_(int8|float)": "cells",
    r"(?:demo_out|artifacts|runs)/(?:fast_scnn|street)_(int8|float)": "street",
    r"(?:demo_out|artifacts|runs)/(?:(?:mobilenet_v2|v2)_)?(int8|float)": "road",
}


def speaks_of(name: str) -> bool:
    """Whether the reader has a run or an artifact under this name."""
    return any(re.fullmatch(pattern, name) for pattern in MODELS)


def write(path: Path, image: np.ndarray) -> None:
    """Write one picture, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.ascontiguousarray(image))


def weights(images: np.ndarray) -> nn.Module:
    """Narrow and untrained; with the statistics of these images (n, h, w, 3) its features tell them apart."""
    model = build("mobilenet_v2", classes=8, width=0.35, resolution=64)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # the mean of all batches
    with torch.no_grad():
        model.train()(torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1)
    return model


def photographs(folder: Path) -> None:
    """Own photographs, as docs/own_data.md speaks of them: by class, by table, with masks; a film; weights."""
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
    classes = zip(scenes.classes, colours.tolist(), strict=True)
    (folder / "classes.txt").write_text("\n".join(f"{name} {r} {g} {b}" for name, (r, g, b) in classes))
    film = cv2.VideoWriter(str(folder / "film.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 5, (96, 96))
    for image in images:
        film.write(np.ascontiguousarray(image))
    film.release()
    model = weights(np.stack(images))
    save_file(renamed(model, "timm"), folder / "mobilenet_v2.safetensors")
    torch.save(renamed(model, "torchvision"), folder / "mobilenet_v2-7ebf99e0.pth")


def slides(folder: Path) -> None:
    """Photographs with boxes of the classes CELLS, as docs/detection.md speaks of them, in COCO's format."""
    drawn = box_split(COUNT, (128, 128))
    boxes = []
    for index in range(COUNT):
        write(folder / "slides" / f"{index}.jpg", drawn.image(index)[..., ::-1])
        found = drawn.boxes(index)
        for (x0, y0, x1, y1), label in zip(found.boxes.tolist(), found.labels.tolist(), strict=True):
            boxes.append({"image_id": index, "category_id": label, "bbox": [x0, y0, x1 - x0, y1 - y0]})
    files = [{"id": index, "file_name": f"{index}.jpg", "height": 128, "width": 128} for index in range(COUNT)]
    classes = [{"id": index, "name": name} for index, name in enumerate(CELLS)]
    whole = {"images": files, "annotations": boxes, "categories": classes}
    (folder / "cells.json").write_text(json.dumps(whole))


def own_files(folder: Path) -> None:
    """Networks of the reader's own: a module and a larger checkpoint as torch writes them, an ONNX file of any size."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    torch.save(model, folder / "model.pt")
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, folder / "run.pt")
    image = onnx.helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, [1, 3, "height", "width"])
    features = onnx.helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, [1, 4, "height", "width"])
    kernel = onnx.numpy_helper.from_array(
        np.random.default_rng(0).normal(size=(4, 3, 1, 1)).astype(np.float32), "kernel"
    )
    node = onnx.helper.make_node("Conv", ["images", "kernel"], ["features"])
    graph = onnx.helper.make_graph([node], "open", [image], [features], [kernel])
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8),
        folder / "open.onnx",
    )


class Reader:
    """Gives what a page's commands name, unless a command above has made it."""

    def __init__(self, shelf: Path, road: Path, card: str) -> None:
        """`shelf` is an empty folder for what all pages share, `road` the small classifier's run and artifacts."""
        self.shelf, self.road = shelf, road
        photographs(shelf)
        slides(shelf)
        own_files(shelf)
        (shelf / "card.toml").write_text(card)
        (shelf / "labels.txt").write_text("\n".join(generated_split("classify", "train", 1).classes))
        write_fleet(60, shelf / "fleet.jsonl")
        self._on_the_shelf = {path.name: path for path in shelf.iterdir()}

    @cached_property
    def street(self) -> Path:
        """The folder of a small segmenter: its run, and the artifacts `int8` and `float`."""
        masks, classes = self.shelf / "street_masks", self.shelf / "classes.txt"
        return self._trained("street", ["--masks", str(masks), "--classes", str(classes)])

    @cached_property
    def cells(self) -> Path:
        """The folder of a small detector: its run, and the artifacts `int8` and `float`."""
        smaller = ("model.width=0.25", "model.resolution=96", "preprocess.height=96", "preprocess.width=96")
        boxes = str(self.shelf / "cells.json")
        return self._trained("slides", ["--boxes", boxes, *(part for value in smaller for part in ("--set", value))])

    def _trained(self, images: str, words: list[str]) -> Path:
        folder = self.shelf / f"{images}_model"
        words = ["--images", str(self.shelf / images), *words, "-o", str(folder / "run"), "--threads", "1"]
        words += [part for phase in ("train", "qat") for part in ("--set", f"{phase}.epochs=1")]
        words += [part for phase in ("train", "qat") for part in ("--set", f"{phase}.batch_size=4")]
        assert main(["train", *words]) == 0
        for kind, name in (("float", "float"), ("qat", "int8")):
            checkpoint = folder / "run" / f"{kind}.safetensors"
            assert main(["convert", str(checkpoint), "-o", str(folder / name), "--no-verify"]) == 0
        return folder

    def source(self, name: str) -> Path | None:
        """What the reader has under a name; None where the pages speak of no such thing."""
        if name in self._on_the_shelf:
            return self._on_the_shelf[name]
        if name in FILES:
            whose, path = FILES[name]
            return {"road": self.road, "shelf": self.shelf, "checkout": ROOT}[whose] / path
        for pattern, network in MODELS.items():
            if found := re.fullmatch(pattern, name):
                folder: Path = getattr(self, network)
                return folder / (found[1] or "run")
        return None

    def give(self, words: Iterable[str], folder: Path) -> None:
        """Lay into `folder` what these words of a command name (`recipe:runs/own:val` and `KEY=PATH` too)."""
        for part in {part.replace("*", "1") for word in words for part in re.split(r"[:=]", word)}:
            for path in (Path(part), *Path(part).parents):
                source, given = self.source(path.as_posix()), folder / path
                if source is not None and not given.exists():
                    given.parent.mkdir(parents=True, exist_ok=True)
                    (shutil.copytree if source.is_dir() else shutil.copyfile)(source, given)
