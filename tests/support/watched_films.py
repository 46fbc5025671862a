"""Generated films of red figures on grey ground, and models made by hand that see them, as artifacts.

The models compute how red every pixel is, and how much of that there is: in the picture (a classifier), at a place (a
segmenter), or in a box of a figure's size (a detector in the form of YOLO).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import ModelProto

from edge.camera.mjpeg_film import MjpegFilm
from edge.cli.main import main
from tests.support.onnx_models import model, node
from tests.support.preprocess_text import preprocess_text

FRAME_HW = (240, 320)
INPUT_HW = (96, 128)
FIGURE_HW = (24, 12)  # of the input
STRIDE = 4
RATE = 10.0
# The normalized red less half of green and blue: 0 of grey, 2 of pure red; a little is nothing.
_REDNESS = np.array([1.0, -0.5, -0.5], np.float32).reshape(1, 3, 1, 1)
_REDNESS_OF_GREY = np.array([-0.3], np.float32)
Figure = tuple[float, float]


def red_nodes() -> list[onnx.NodeProto]:
    """From `x` to `r`, (1, 1, h, w): from 0 to 1.7."""
    return [node("Conv", "x red grey", "c"), node("Relu", "c", "r")]


def visitor_model() -> ModelProto:
    """Scores of `nobody` and `person`: even where a fifteenth of the picture is red."""
    nodes = [
        *red_nodes(),
        node("GlobalAveragePool", "r", "p"),
        node("Flatten", "p", "f"),
        node("Gemm", "f w b", "y", transB=1),
    ]
    constants = {"w": np.array([[0.0], [60.0]], np.float32), "b": np.array([0.0, -6.8], np.float32)}
    return _model(nodes, {"y": (1, 2)}, constants)


def floor_model() -> ModelProto:
    """Scores of `floor` and `thing` at every fourth pixel."""
    nodes = [*red_nodes(), node("Conv", "r w b", "y", strides=[4, 4])]
    weights = np.zeros((2, 1, 4, 4), np.float32)
    weights[1] = 1 / 16
    height, width = INPUT_HW
    return _model(nodes, {"y": (1, 2, height // 4, width // 4)}, {"w": weights, "b": np.array([0.8, 0.0], np.float32)})


def people_model() -> ModelProto:
    """Boxes of a figure's size, one for every place of a grid, with how much of them is red as their score."""
    rows, columns = ((side - box) // STRIDE + 1 for side, box in zip(INPUT_HW, FIGURE_HW, strict=True))
    nodes = [
        *red_nodes(),
        node("Conv", "r w b", "m", strides=[STRIDE, STRIDE]),
        node("Reshape", "m flat", "s"),
        node("Sigmoid", "s", "p"),
        node("Mul", "s nothing", "o"),
        node("Add", "o boxes", "k"),
        node("Concat", "k p", "y", axis=1),
    ]
    y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    centres = [
        (place * STRIDE + box / 2) / side
        for place, box, side in zip((x, y), FIGURE_HW[::-1], INPUT_HW[::-1], strict=True)
    ]
    sides = [np.full_like(centres[0], box / side) for box, side in zip(FIGURE_HW[::-1], INPUT_HW[::-1], strict=True)]
    boxes = np.stack([*centres, *sides]).reshape(1, 4, -1).astype(np.float32)
    constants = {
        "w": np.full((1, 1, *FIGURE_HW), 8 / (FIGURE_HW[0] * FIGURE_HW[1]), np.float32),
        "b": np.array([-8.0], np.float32),
        "flat": np.array([1, 1, rows * columns], np.int64),
        "nothing": np.zeros(1, np.float32),
        "boxes": boxes,
    }
    return _model(nodes, {"y": (1, 5, rows * columns)}, constants)


def _model(
    nodes: list[onnx.NodeProto], outputs: dict[str, tuple[int, ...]], constants: dict[str, np.ndarray]
) -> ModelProto:
    return model(nodes, outputs, {"red": _REDNESS, "grey": _REDNESS_OF_GREY, **constants}, shape=(1, 3, *INPUT_HW))


CLASSIFIER = ('task = "classify"\nvalues = "logits"\nscores = "exclusive"\n', "", ("nobody", "person"), visitor_model)
SEGMENTER = ('task = "segment"\nvalues = "logits"\n', "", ("floor", "thing"), floor_model)
DETECTOR = (
    'task = "detect"\nvalues = "probabilities"\n',
    '[detection]\nform = "yolo"\nbox = "cxcywh"\nunit = "shares"\nobjectness = false\nthreshold = 0.4\noverlap = 0.2\n',
    ("person",),
    people_model,
)
MODELS = {"door_int8": CLASSIFIER, "floor_int8": SEGMENTER, "people_int8": DETECTOR}


def watching_artifact(name: str, folder: Path) -> Path:
    """The artifact `folder / name` of one of MODELS, in float: its answers are those that a film was drawn for."""
    head, rest, names, made = MODELS[name]
    onnx.save(made(), folder / f"{name}.onnx")
    listed = ", ".join(f'"{one}"' for one in names)
    card = folder / f"{name}.toml"
    card.write_text(f"{head}{preprocess_text(*INPUT_HW)}[labels]\nnames = [{listed}]\n{rest}")
    words = ["convert", str(folder / f"{name}.onnx"), "--card", str(card), "-o", str(folder / name), "--no-verify"]
    assert main(words) == 0
    return folder / name


def film(path: Path, frames: Iterable[Sequence[tuple[float, float, float, float]]]) -> Path:
    """A film of red boxes, x0, y0, x1, y1 as shares of the frame, on noisy grey ground."""
    noise = np.random.default_rng(0)
    height, width = FRAME_HW
    written = MjpegFilm(path, (width, height), RATE)
    for boxes in frames:
        image = np.repeat(noise.integers(110, 150, (height, width, 1), dtype=np.uint8), 3, axis=2)
        for x0, y0, x1, y1 in boxes:
            image[round(y0 * height) : round(y1 * height), round(x0 * width) : round(x1 * width)] = (0, 0, 255)
        written.add(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())
    written.close()
    return path


def figure(foot: Figure) -> tuple[float, float, float, float]:
    """The box of a figure whose feet are at (x, y), shares of the frame."""
    height, width = (box / side for box, side in zip(FIGURE_HW, INPUT_HW, strict=True))
    return foot[0] - width / 2, foot[1] - height, foot[0] + width / 2, foot[1]
