"""What is explained: the probability of a class, of a segmenter its mean over a region."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edge.errors import UsageError, unknown_name
from edge.explain.explained import Explained
from edge.explain.integrated_gradients import Score
from edge.vision.pixels import placement


@dataclass(frozen=True, kw_only=True)
class Box:
    """A part of a photograph in its pixels, at least one."""

    left: int
    top: int
    width: int = 1
    height: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """The score that is explained.

    Attributes:
        index: of the class.
        cells: of a segmenter bool (rows, columns), the cells of its output over which the score is the mean.
    """

    index: int
    cells: Tensor | None = None

    def score(self, explained: Explained) -> Score:
        """The function that is integrated."""
        return lambda images: self.of(explained.probabilities(images))

    def of(self, probabilities: Tensor) -> Tensor:
        """The score, (n,), of probabilities (n, classes) or (n, classes, rows, columns)."""
        of_class = probabilities[:, self.index]
        return of_class if self.cells is None else of_class[:, self.cells].mean(dim=1)


def class_index(names: tuple[str, ...], named: str) -> int:
    """A class by its name or number. Refuses (UsageError) one that is not there, or a name that several have."""
    places = [index for index, name in enumerate(names) if name == named]
    if len(places) > 1:
        raise UsageError(f"class '{named}' stands at {' and '.join(str(place) for place in places)}; give the number")
    if places:
        return places[0]
    if named.isdecimal():
        if int(named) < len(names):
            return int(named)
        raise UsageError(f"class {named}: the model has {len(names)} classes, 0 to {len(names) - 1}")
    raise UsageError(unknown_name("class", named, names))


def find_target(
    explained: Explained, image: Tensor, frame_hw: tuple[int, int], named: str | None = None, box: Box | None = None
) -> Target:
    """What to explain of one image.

    Args:
        image: normalized, (3, h, w). frame_hw: size of the photograph.
        named: a class; None: the most probable one, of a segmenter the one that covers the most of the region.
        box: of a segmenter, the region; None: where it predicts the class.

    Raises:
        UsageError: a region of a classifier, one outside of what the model sees, or a class that is predicted nowhere.
    """
    index = None if named is None else class_index(explained.names, named)
    with torch.no_grad():
        found = explained.probabilities(image[None])[0]
    if found.ndim == 1:
        if box is not None:
            raise UsageError(f"{explained.name}: it has one score of a class for the whole image; omit the region")
        return Target(index=int(found.argmax()) if index is None else index)
    predicted = found.argmax(dim=0)
    cells = None if box is None else cells_of(box, explained, frame_hw, (predicted.shape[0], predicted.shape[1]))
    if index is None:
        index = int(torch.bincount((predicted if cells is None else predicted[cells]).flatten()).argmax())
    if cells is None:
        cells = predicted == index
        if not cells.any():
            name = explained.names[index]
            raise UsageError(
                f"{explained.name}: predicts '{name}' nowhere on this image; give a region or another class"
            )
    return Target(index=index, cells=cells)


def cells_of(box: Box, explained: Explained, frame_hw: tuple[int, int], cells_hw: tuple[int, int]) -> Tensor:
    """The cells of an output whose centres lie in a box of the photograph, or the one in which its centre lies.

    Refuses (UsageError) a box that reaches out of the photograph, or lies where the model does not see.
    """
    preprocess, place = explained.preprocess, placement(frame_hw, explained.preprocess)
    told = f"region {box.left},{box.top},{box.width},{box.height}"
    if min(box.left, box.top) < 0 or box.left + box.width > frame_hw[1] or box.top + box.height > frame_hw[0]:
        raise UsageError(f"{told}: reaches out of the image, {frame_hw[1]} pixels wide and {frame_hw[0]} high")

    def along(start: int, size: int, axis: int) -> np.ndarray:
        window = (
            (place.top, place.height, place.to_top, place.to_height)
            if axis == 0
            else (place.left, place.width, place.to_left, place.to_width)
        )
        first, length, to_first, to_length = window
        whole = (preprocess.height, preprocess.width)[axis]
        if start + size <= first or start >= first + length:
            raise UsageError(f"{told}: the model does not see it; the image is cropped")
        step = to_length / length * cells_hw[axis] / whole
        low = (start - first) * step + to_first * cells_hw[axis] / whole
        middles = np.arange(cells_hw[axis]) + 0.5
        inside = (middles >= low) & (middles < low + size * step)
        if not inside.any():
            inside[min(max(int(low + size * step / 2), 0), cells_hw[axis] - 1)] = True
        return inside

    rows, columns = along(box.top, box.height, 0), along(box.left, box.width, 1)
    return torch.from_numpy(rows[:, None] & columns[None, :])
