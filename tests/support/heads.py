"""Small networks that end in a head of each kind, as ONNX files with their cards."""

from pathlib import Path

import numpy as np
from onnx import ModelProto

from tests.support.onnx_models import model, node, values
from tests.support.preprocess_text import preprocess_text

SIZE = 32
SHIFT = -1.9  # about half of the cells of a picture are on
CARD = (
    """task = "{task}"
{said}
"""
    + preprocess_text()
    + """[labels]
names = [{names}]
"""
)


def classifier(end: str, classes: int, *, bias: float = 0.0) -> ModelProto:
    """Convolution, pool and a product, (1, classes), which `end` (an operator, or `logits`) closes."""
    nodes = [
        node("Conv", "x w", "c", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Relu", "c", "r"),
        node("GlobalAveragePool", "r", "p"),
        node("Flatten", "p", "f"),
        node("Gemm", "f gw gb", "y" if end == "logits" else "z", transB=1),
        *([] if end == "logits" else [node(end, "z", "y")]),
    ]
    constants = {"w": values(8, 3, 3, 3), "gw": values(classes, 8, seed=1), "gb": np.full(classes, bias, np.float32)}
    return model(nodes, {"y": (1, classes)}, constants, shape=(1, 3, SIZE, SIZE))


def segmenter(end: str, classes: int) -> ModelProto:
    """Two convolutions, (1, classes, 16, 16), which `end` closes."""
    nodes = [
        node("Conv", "x w", "c", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Relu", "c", "r"),
        node("Conv", "r sw sb", "y" if end == "logits" else "z"),
        *([] if end == "logits" else [node(end, "z", "y")]),
    ]
    constants = {
        "w": values(8, 3, 3, 3),
        "sw": values(classes, 8, 1, 1, seed=1),
        "sb": SHIFT * np.ones(classes, np.float32),
    }
    return model(nodes, {"y": (1, classes, SIZE // 2, SIZE // 2)}, constants, shape=(1, 3, SIZE, SIZE))


def card(path: Path, task: str, names: tuple[str, ...], said: str = "") -> Path:
    """A card of such a network; `said` are further lines at its top."""
    path.write_text(CARD.format(task=task, said=said, names=", ".join(f'"{name}"' for name in names)))
    return path
