"""Where a legend stands: beside the picture, or in it where it covers least of what matters, and stays in a film."""

from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Importance = NDArray[np.float32]
LegendPlace = Literal["auto", "outside", "none"]
LEGEND_PLACES: tuple[LegendPlace, ...] = ("auto", "outside", "none")
THUMBNAIL = 96
"""The longer side of what importance is judged at."""
_MOVED = 12  # grey levels between two frames that are no noise
_MUCH_QUIETER = 0.5
_PATIENCE = 12  # frames
_STRIP_LINES = 11  # the width of the strip beside a landscape, in heights of a line
_NEARLY = 1.05


class FilmMemory:
    """What the legend of a film remembers of the frames before: where it stood, and what they showed."""

    def __init__(self) -> None:
        self._grey: Pixels | None = None
        self._place: int | None = None
        self._quieter = 0

    def motion(self, frame: Pixels) -> Importance:
        """How much every place of the thumbnail has changed since the last frame, 0 to 1; 0 at first."""
        grey = np.asarray(cv2.cvtColor(_small(frame, cv2.INTER_AREA), cv2.COLOR_RGB2GRAY), np.uint8)
        before, self._grey = self._grey, grey
        if before is None or before.shape != grey.shape:
            return np.zeros(grey.shape, np.float32)
        change = np.asarray(cv2.absdiff(grey, before), np.float32)
        return np.where(change >= _MOVED, change / 255, 0).astype(np.float32)

    def choose(self, costs: NDArray[np.floating[Any]]) -> int:
        """One of the places: the last one, until another was much quieter for _PATIENCE frames."""
        best = _first_of_the_least(costs)
        if self._place is None or self._place >= len(costs):
            self._place = best
        quieter = costs[best] < _MUCH_QUIETER * costs[self._place]
        self._quieter = self._quieter + 1 if quieter else 0
        if self._quieter >= _PATIENCE:
            self._place, self._quieter = best, 0
        return self._place


def of_classes(class_map: Pixels, plain: tuple[int, ...] = ()) -> Importance:
    """Every class matters as much as every other, whatever its size, and the borders as much as all of them.

    Args:
        class_map: uint8 (h, w). plain: classes, and values that are none, which do not matter.

    Returns:
        float32, of the thumbnail's size; sums to twice the number of classes at most.
    """
    small = _small(class_map, cv2.INTER_NEAREST)
    counts = np.bincount(small.ravel(), minlength=256)
    weights = np.divide(1.0, counts, out=np.zeros(256), where=counts > 0)
    weights[list(plain)] = 0
    border = np.zeros(small.shape, np.float32)
    border[1:] += small[1:] != small[:-1]
    border[:, 1:] += small[:, 1:] != small[:, :-1]
    total = max(float(border.sum()), 1.0)
    return np.asarray(weights[small] + border * (np.count_nonzero(weights) / total), np.float32)


def of_detail(frame: Pixels) -> Importance:
    """Detail, which counts the more the nearer it is to the middle; sums to 1, or to 0 of a plain frame.

    Args:
        frame: RGB uint8 (h, w, 3).
    """
    grey = np.asarray(cv2.cvtColor(_small(frame, cv2.INTER_AREA), cv2.COLOR_RGB2GRAY), np.float32)
    detail = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    y, x = (np.hanning(side + 2)[1:-1] for side in grey.shape)
    detail = np.sqrt(detail) * (0.02 + np.outer(y, x))  # the root: texture is more than it matters
    total = float(detail.sum())
    return np.asarray(detail / total if total else detail, np.float32)


def corner(
    importance: Importance, panel_hw: tuple[int, int], frame_hw: tuple[int, int], memory: FilmMemory | None = None
) -> tuple[int, int]:
    """Upper left corner (y, x) of a panel that covers least, of the frame's four corners and its edges' middles.

    Of places that are nearly as good it is the first of: upper left, upper right, lower left, lower right, the middles.

    Args:
        importance: of any size, of the whole frame.
        panel_hw: at most the frame's.
    """
    rows, columns = frame_hw[0] - panel_hw[0], frame_hw[1] - panel_hw[1]
    places = [(0, 0), (0, columns), (rows, 0), (rows, columns)]
    places += [(rows // 2, 0), (rows // 2, columns), (0, columns // 2), (rows, columns // 2)]
    sums = np.asarray(cv2.integral(importance), np.float64)
    scale_y, scale_x = (side / whole for side, whole in zip(importance.shape, frame_hw, strict=True))
    costs = []
    for top, left in places:
        y0, y1 = round(top * scale_y), max(round((top + panel_hw[0]) * scale_y), round(top * scale_y) + 1)
        x0, x1 = round(left * scale_x), max(round((left + panel_hw[1]) * scale_x), round(left * scale_x) + 1)
        y0, y1 = min(y0, importance.shape[0] - 1), min(y1, importance.shape[0])
        x0, x1 = min(x0, importance.shape[1] - 1), min(x1, importance.shape[1])
        costs.append(sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0])
    told = np.array(costs).clip(0)
    return places[_first_of_the_least(told) if memory is None else memory.choose(told)]


def strip(frame_hw: tuple[int, int], rows: int, line: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The size (h, w) of the picture with a legend outside of it, and the legend's upper left corner (y, x).

    At the right of a landscape, below a portrait: of one size through a whole film.
    """
    height, width = frame_hw
    if width >= height:
        return (height, width + _STRIP_LINES * line), (0, width)
    return (height + rows * line + 6, width), (height, 0)


def _first_of_the_least(costs: NDArray[np.floating[Any]]) -> int:
    return int(np.argmax(costs <= _NEARLY * costs.min() + 1e-9))


def _small(image: Pixels, interpolation: int) -> Pixels:
    longest = max(image.shape[:2])
    if longest <= THUMBNAIL:
        return image
    width, height = (max(1, round(side * THUMBNAIL / longest)) for side in (image.shape[1], image.shape[0]))
    step = longest // (2 * THUMBNAIL)  # two pixels of each of the thumbnail's are enough to judge it by
    image = np.ascontiguousarray(image[::step, ::step]) if step > 1 else image
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), np.uint8)
