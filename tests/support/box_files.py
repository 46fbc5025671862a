"""Small data sets with boxes, in the forms that people have them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from edge.data.boxes import BoxTarget
from edge.data.open_split import open_split
from edge.data.splits import Split

WIDTH, HEIGHT = 40, 20


def save_images(folder: Path, *names: str, size_wh: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """Images of noise, each another; the kind by the ending."""
    for index, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 256, size=(size_wh[1], size_wh[0], 3), dtype=np.uint8)
        path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
    return folder


def write_coco(path: Path, images: Sequence[object], annotations: Sequence[object], categories: object = None) -> Path:
    """A COCO file; categories: cat (id 3) and dog (id 7) where none are given."""
    named = [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}] if categories is None else categories
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": named}))
    return path


def coco_image(identifier: object, name: str, **more: object) -> dict[str, object]:
    """One row of `images`."""
    return {"id": identifier, "file_name": name, "width": WIDTH, "height": HEIGHT, **more}


def annotation(image: object, category: object, bbox: object, **more: object) -> dict[str, object]:
    """One row of `annotations`."""
    return {"id": 1, "image_id": image, "category_id": category, "bbox": bbox, "iscrowd": 0, **more}


def voc_text(objects: str, *, filename: str = "a.png", size: str | None = None, source: str = "") -> str:
    """One XML file of Pascal VOC."""
    said = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>" if size is None else size
    return f"<annotation>\n<filename>{filename}</filename>{source}{said}\n{objects}\n</annotation>\n"


def voc_object(name: str, edges: Sequence[object], more: str = "") -> str:
    """One object of it; edges: xmin, ymin, xmax, ymax."""
    tags: Mapping[str, object] = dict(zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True))
    box = "".join(f"<{tag}>{value}</{tag}>" for tag, value in tags.items())
    return f"<object><name>{name}</name>{more}<bndbox>{box}</bndbox></object>"


def write_files(folder: Path, **texts: str) -> Path:
    """Text files by name, `__` for a folder's separator and `_dot_` before the ending."""
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def boxes_of(split: Split) -> dict[str, list[tuple[str, tuple[float, float, float, float], bool]]]:
    """By image: class name, edges and whether ignored, of every box."""
    found = {}
    for sample in split.samples:
        assert isinstance(sample.target, BoxTarget)
        found[sample.name] = [(split.classes[box.label], box[:4], box.ignored) for box in sample.target.boxes]
    return found


def coco(folder: Path, annotations: list[object], categories: object = None, **image: object) -> Split:
    """Two images and a COCO file of these annotations; `image`: other keys of the first one."""
    save_images(folder / "images", "a.png", "b.png")
    rows = [coco_image(1, "a.png", **image), coco_image(2, "b.png")]
    return open_split(images=folder / "images", boxes=write_coco(folder / "c.json", rows, annotations, categories))


def voc(folder: Path, objects: str, **more: str) -> Split:
    """An image and an XML file of these objects."""
    save_images(folder / "images", "a.png")
    boxes = write_files(folder / "xml", a_dot_xml=voc_text(objects, **more))
    return open_split(images=folder / "images", boxes=boxes)


def yolo(folder: Path, text: str, names: str = "cat\ndog\n") -> Split:
    """An image, a text file, and the names of its classes."""
    save_images(folder / "images", "a.png")
    boxes = write_files(folder / "labels", a_dot_txt=text, classes_dot_txt=names)
    return open_split(images=folder / "images", boxes=boxes)
