"""Boxes around things in an image: the target of a detector's sample, as it is held, hashed and handed over."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FARTHEST = 1e9  # pixels; NaN is not below it either


class Box(NamedTuple):
    """One box in pixels of the decoded image: the edges, so that a whole image is 0, 0, width, height.

    Attributes:
        x0, y0, x1, y1: left, top, right, bottom; x0 < x1, y0 < y1, none below 0.
        label: the class index; 0 is the first class.
        ignored: neither right nor wrong to find and not trained on: a crowd of COCO, a difficult object of Pascal VOC.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    label: int
    ignored: bool = False


@dataclass(frozen=True)
class BoxTarget:
    """All boxes of an image, in the order of their file; none: nothing is in the image that has a class."""

    boxes: tuple[Box, ...] = ()

    def problem(self, classes: int) -> str | None:
        """What is wrong with one of the boxes, for a message; None: nothing."""
        for number, box in enumerate(self.boxes):
            edges = box[:4]
            if not all(abs(edge) < FARTHEST for edge in edges):
                return f"box {number} (0 first) has edges that are no numbers of pixels: {edges}"
            if min(edges) < 0 or box.x0 >= box.x1 or box.y0 >= box.y1:
                return f"box {number} (0 first) is no box: left {box.x0}, top {box.y0}, right {box.x1}, bottom {box.y1}"
            if not 0 <= box.label < classes:
                return f"box {number} (0 first) has label {box.label}; there are {classes} classes (0 first)"
        return None

    def sha256(self) -> str:
        """Hex hash over the numbers of all boxes in their order."""
        lines = (f"{' '.join(repr(float(e)) for e in box[:4])} {box.label} {box.ignored:d}\n" for box in self.boxes)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class BoxArrays:
    """The boxes of one image as arrays.

    Attributes:
        boxes: float32 (n, 4): x0, y0, x1, y1 in pixels of the decoded image.
        labels: int64 (n,): class indices.
        ignored: bool (n,).
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    ignored: NDArray[np.bool_]


def box_arrays(boxes: Sequence[Box]) -> BoxArrays:
    """Boxes as arrays, also none of them."""
    return BoxArrays(
        boxes=np.array([box[:4] for box in boxes], dtype=np.float32).reshape(-1, 4),
        labels=np.array([box.label for box in boxes], dtype=np.int64),
        ignored=np.array([box.ignored for box in boxes], dtype=np.bool_),
    )
