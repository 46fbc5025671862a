"""Raw outputs of a segmenter to a class map, at the model's size or the frame's."""

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.port import DescribedPort, dequantize
from edge.vision.frame import Region
from edge.vision.pixels import Geometry, Placement, placement
from edge.vision.postprocess import threshold
from edge.vision.scratch import Scratch

Pixels = NDArray[np.uint8]


def class_map_from_scores(
    cells: NDArray[np.generic],
    size_hw: tuple[int, int],
    at_least: float | np.float32 = 0.0,
    *,
    out: Pixels | None = None,
    scratch: Scratch | None = None,
) -> Pixels:
    """Enlarge scores bilinearly (half-pixel centres), then take the best class of every pixel.

    All classes share one scale and zero point, so integer scores of several need not be dequantized first.

    Args:
        cells: (h, w, classes), at most 256 classes, integer or float; real values for one channel.
        size_hw: height and width of the result.
        at_least: a single channel is class 1 from this value on, else 0.
        out: where the result goes, in place of a new array. scratch: room for one class's scores.

    Returns:
        uint8 (height, width); the lower class index among equals.
    """
    height, width = size_hw

    def sampled(plane: NDArray[np.float32], into: NDArray[np.float32]) -> None:
        cv2.resize(plane, (width, height), dst=into, interpolation=cv2.INTER_LINEAR)

    return _best_class(cells, size_hw, sampled, at_least, out, scratch or Scratch())


def _best_class(
    cells: NDArray[np.generic],
    size_hw: tuple[int, int],
    sampled: Callable[[NDArray[np.float32], NDArray[np.float32]], None],
    at_least: float | np.float32,
    out: Pixels | None,
    scratch: Scratch,
) -> Pixels:
    """The best class of every pixel; `sampled` brings one class's plane (h, w) to the pixels."""
    class_map = np.empty(size_hw, np.uint8) if out is None else out
    plane = scratch.array("plane", cells.shape[:2], np.float32)
    best, scores = (scratch.array(name, size_hw, np.float32) for name in ("best", "scores"))
    better = scratch.array("better", size_hw, np.bool_)

    def bring(index: int, into: NDArray[np.float32]) -> None:
        np.copyto(plane, cells[:, :, index], casting="same_kind")
        sampled(plane, into)

    bring(0, best)
    if cells.shape[2] == 1:
        np.greater_equal(best, np.float32(at_least), out=better)
        np.copyto(class_map, better.view(np.uint8))
        return class_map
    class_map[:] = 0
    # One class at a time: the enlarged scores of all classes would not stay in the cache.
    for index in range(1, cells.shape[2]):
        bring(index, scores)
        np.greater(scores, best, out=better)
        np.copyto(class_map, np.uint8(index), where=better)
        np.maximum(best, scores, out=best)
    return class_map


def frame_class_map(
    output: NDArray[np.generic],
    told: DescribedPort,
    frame_hw: tuple[int, int],
    preprocess: Geometry,
    *,
    outside: int = 255,
    region: Region | None = None,
    probability: float = 0.5,
    scratch: Scratch | None = None,
) -> Pixels:
    """A segmenter's output as a class map of the original frame: the way back through `preprocess`.

    Args:
        output: one image's scores or class map at any resolution, batch axis 1 where the layout has one, raw. One
            channel of scores is a map of no (0) and yes (1, from `probability` on).
        frame_hw: height and width of the frame.
        outside: the value where the model saw nothing (fit `crop`, outside the region).
        region: the part of the frame that was given to `resize`; None: all of it.
        scratch: room for one class's scores.

    Returns:
        uint8 (frame height, frame width).
    """
    part = Region(0, 0, *frame_hw) if region is None else region
    place, room = placement((part.height, part.width), preprocess), scratch or Scratch()
    top, left = part.top + place.top, part.left + place.left
    window_hw = (place.height, place.width)
    restored = np.empty(frame_hw, np.uint8) if window_hw == frame_hw else np.full(frame_hw, outside, dtype=np.uint8)
    window = restored[top : top + place.height, left : left + place.width]
    inputs_hw = (preprocess.height, preprocess.width)
    if told.meaning == "class_map":
        content = np.ascontiguousarray(_at_input(output, told, inputs_hw)[place.in_input])
        window[:] = cv2.resize(content, window_hw[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        return restored
    cells, at_least = _cells(output, told), threshold(told, probability)
    if (place.to_height, place.to_width) == inputs_hw:
        class_map_from_scores(cells, window_hw, at_least, out=window, scratch=room)
    else:
        map_x, map_y = _sampled_places(place, inputs_hw, cells.shape[:2])

        def sampled(plane: NDArray[np.float32], into: NDArray[np.float32]) -> None:
            cv2.remap(plane, map_x, map_y, cv2.INTER_LINEAR, dst=into, borderMode=cv2.BORDER_REPLICATE)

        _best_class(cells, window_hw, sampled, at_least, window, room)
    return restored


def model_class_map(
    output: NDArray[np.generic],
    told: DescribedPort,
    seen_hw: tuple[int, int],
    preprocess: Geometry,
    *,
    outside: int = 255,
    probability: float = 0.5,
    scratch: Scratch | None = None,
) -> Pixels:
    """The same at the size of the model's input and in its geometry, `outside` in the border of a letterbox.

    Args:
        seen_hw: height and width of the frame, or of its region, that was given to `resize`.

    Returns:
        uint8 (preprocess.height, preprocess.width).
    """
    inputs_hw, place = (preprocess.height, preprocess.width), placement(seen_hw, preprocess)
    if told.meaning == "class_map":
        class_map = _at_input(output, told, inputs_hw)
    else:
        cells, at_least = _cells(output, told), threshold(told, probability)
        class_map = class_map_from_scores(cells, inputs_hw, at_least, scratch=scratch)
    if (place.to_height, place.to_width) == inputs_hw:
        return class_map
    bordered = np.full(inputs_hw, outside, np.uint8)
    bordered[place.in_input] = class_map[place.in_input]
    return bordered


def _at_input(output: NDArray[np.generic], told: DescribedPort, inputs_hw: tuple[int, int]) -> Pixels:
    """A class map at the model's input's size, at the nearest cell."""
    plane = output.reshape(output.shape[1:3] if told.layout == "nhwc" else output.shape[-2:])
    return np.asarray(
        cv2.resize(plane.astype(np.uint8), inputs_hw[::-1], interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8
    )


def _cells(output: NDArray[np.generic], told: DescribedPort) -> NDArray[np.generic]:
    """Scores (h, w, classes); real values of one class."""
    if told.layout not in ("nhwc", "nchw"):
        raise UsageError(f"scores in layout '{told.layout}' are not a segmentation output; expected nhwc or nchw")
    cells = output[0] if told.layout == "nhwc" else np.moveaxis(output[0], 0, -1)
    return dequantize(cells, told.scale, told.zero_point) if cells.shape[2] == 1 else cells


@lru_cache(maxsize=4)
def _sampled_places(
    place: Placement, inputs_hw: tuple[int, int], cells_hw: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where the pixels of a letterboxed frame lie in a map of cells, x and y, each float32 (height, width)."""
    step_y, step_x = cells_hw[0] / inputs_hw[0], cells_hw[1] / inputs_hw[1]
    # Frame pixel -> model input pixel -> cell, all at pixel centres.
    y = (np.arange(place.height) + 0.5) * place.to_height / place.height + place.to_top
    x = (np.arange(place.width) + 0.5) * place.to_width / place.width + place.to_left
    map_x, map_y = np.meshgrid((x * step_x - 0.5).astype(np.float32), (y * step_y - 0.5).astype(np.float32))
    return map_x, map_y
