"""Raw outputs of an engine to predictions: class scores, or a class map of the frame's size."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.port import DescribedPort, dequantize
from edge.vision.pixels import Geometry, Placement, placement

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """The best classes, the first first; equal scores in index order. probabilities: in [0, 1], of the same length.

    `decided`: how many of them, from the first on, are the prediction: 1 where classes exclude each other; of
    independent labels those with a probability of at least 0.5, which may be none.
    """

    indices: tuple[int, ...]
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    decided: int = 1


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax over the last axis, the largest logit subtracted first."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + exp(-x)), without an overflow on either side."""
    small = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1, small) / (1 + small), dtype=np.float32)


def threshold(told: DescribedPort) -> np.float32:
    """The real value of a score at which its probability is 0.5."""
    return np.float32(0.0 if told.meaning == "logits" else 0.5)


def ranked_values(output: NDArray[np.generic], told: DescribedPort) -> NDArray[np.float32]:
    """The values that a classifier's decision is read from.

    Every road to a decision (a predictor's, an evaluation's, a verification's) takes this one.

    Args:
        output: one image's scores, (1, classes) or with further axes of size 1, raw.

    Returns:
        float32 (classes,). Exclusive: the first of the largest wins. One score: two values, of no and of yes, and again
        the larger wins: yes from a probability of 0.5 on. Independent: a label holds where its value is not negative.
    """
    real = dequantize(output.reshape(-1), told.scale, told.zero_point)
    if real.size == 1:
        below = np.nextafter(threshold(told), np.float32(-np.inf))  # nothing lies between it and the threshold
        return np.array([below, real[0]], np.float32)
    # The difference of two float32 is negative exactly where the first is the smaller one.
    return real - threshold(told) if told.scores == "independent" else real


def probabilities(output: NDArray[np.generic], told: DescribedPort) -> NDArray[np.float32]:
    """float32 (classes,): the probability of every class or label; of no and of yes for one score."""
    real = dequantize(output.reshape(-1), told.scale, told.zero_point)
    if told.meaning == "logits":
        real = sigmoid(real) if told.scores == "independent" else softmax(real)
    return np.array([1 - real[0], real[0]], np.float32) if real.size == 1 else real


def class_scores(
    output: NDArray[np.generic], told: DescribedPort, names: tuple[str, ...], *, top: int = 5
) -> ClassScores:
    """The best classes of one image.

    Args:
        output: (classes,) or (1, classes), integer with scale and zero point, or float.
        names: class names by index, one per score; two for one score.
        top: how many; fewer where there are fewer classes, more where more labels are decided.
    """
    values = ranked_values(output, told)
    if values.size != len(names):
        raise UsageError(f"the model gives {values.size} scores and there are {len(names)} class names")
    # Ordered by the values themselves: softmax in float32 can make two different logits equal.
    order = np.argsort(-values.astype(np.float64), kind="stable")
    independent = told.scores == "independent" and output.size > 1
    decided = int(np.count_nonzero(values >= 0)) if independent else 1
    best = order[: max(top, decided)]
    shares = probabilities(output, told)
    return ClassScores(
        indices=tuple(int(index) for index in best),
        names=tuple(names[index] for index in best),
        probabilities=tuple(float(shares[index]) for index in best),
        decided=decided,
    )


def class_map_from_scores(
    cells: NDArray[np.generic], size_hw: tuple[int, int], at_least: float | np.float32 = 0.0
) -> Pixels:
    """Enlarge scores bilinearly (half-pixel centres), then take the best class of every pixel.

    All classes share one scale and zero point, so integer scores of several need not be dequantized first.

    Args:
        cells: (h, w, classes), at most 256 classes, integer or float; real values for one channel.
        size_hw: height and width of the result.
        at_least: a single channel is class 1 from this value on, else 0.

    Returns:
        uint8 (height, width); the lower class index among equals.
    """
    height, width = size_hw
    whole = np.ascontiguousarray(cells, dtype=np.float32)
    if whole.shape[:2] == (height, width) and whole.shape[2] > 1:
        return np.asarray(whole.argmax(axis=2), dtype=np.uint8)

    def enlarged(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)

    return _best_class(whole, size_hw, enlarged, at_least)


def _best_class(
    cells: NDArray[np.float32],
    size_hw: tuple[int, int],
    sampled: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    at_least: float | np.float32,
) -> Pixels:
    """The best class of every pixel; `sampled` brings one class's plane (h, w) to the pixels."""
    if cells.shape[2] == 1:
        return np.asarray(sampled(np.ascontiguousarray(cells[:, :, 0])) >= at_least, dtype=np.uint8)
    best = np.full(size_hw, -np.inf, dtype=np.float32)
    class_map = np.zeros(size_hw, dtype=np.uint8)
    # One class at a time: the enlarged scores of all classes would not stay in the cache.
    for index in range(cells.shape[2]):
        plane = sampled(np.ascontiguousarray(cells[:, :, index]))
        better = plane > best
        class_map[better] = index
        np.maximum(best, plane, out=best)
    return class_map


def frame_class_map(
    output: NDArray[np.generic],
    told: DescribedPort,
    frame_hw: tuple[int, int],
    preprocess: Geometry,
    *,
    outside: int = 255,
) -> Pixels:
    """A segmenter's output as a class map of the original frame: the way back through `preprocess`.

    Args:
        output: one image's scores or class map at any resolution, batch axis 1 where the layout has one, raw. One
            channel of scores is a map of no (0) and yes (1, from a probability of 0.5 on).
        frame_hw: height and width of the frame that was given to `resize`.
        outside: the value where the model saw nothing (fit `crop`).

    Returns:
        uint8 (frame height, frame width).
    """
    if told.meaning == "class_map":
        plane = output.reshape(output.shape[1:3] if told.layout == "nhwc" else output.shape[-2:])
        inputs_wh = (preprocess.width, preprocess.height)
        at_input = cv2.resize(plane.astype(np.uint8), inputs_wh, interpolation=cv2.INTER_NEAREST_EXACT)
        return restore_map(np.asarray(at_input, dtype=np.uint8), frame_hw, preprocess, outside=outside)
    if told.layout not in ("nhwc", "nchw"):
        raise UsageError(f"scores in layout '{told.layout}' are not a segmentation output; expected nhwc or nchw")
    cells = output[0] if told.layout == "nhwc" else np.moveaxis(output[0], 0, -1)  # (h, w, classes)
    if cells.shape[2] == 1:
        cells = dequantize(cells, told.scale, told.zero_point)
    place = placement(frame_hw, preprocess)
    if (place.to_height, place.to_width) == (preprocess.height, preprocess.width):
        class_map = class_map_from_scores(cells, (place.height, place.width), threshold(told))
    else:
        class_map = _letterboxed_map(cells, place, (preprocess.height, preprocess.width), threshold(told))
    return _in_frame(class_map, place, frame_hw, outside)


def restore_map(class_map: Pixels, frame_hw: tuple[int, int], preprocess: Geometry, *, outside: int = 255) -> Pixels:
    """A map in the model's geometry back in the frame's, at the nearest pixel: the inverse of `resize_mask`.

    Args:
        class_map: uint8 (preprocess.height, preprocess.width).

    Returns:
        uint8 (frame height, frame width), `outside` where the frame was cropped away.
    """
    if class_map.shape != (preprocess.height, preprocess.width):
        raise UsageError(f"a class map of {class_map.shape} does not fit {preprocess.height}x{preprocess.width}")
    place = placement(frame_hw, preprocess)
    content = class_map[place.in_input]
    window = cv2.resize(
        np.ascontiguousarray(content), (place.width, place.height), interpolation=cv2.INTER_NEAREST_EXACT
    )
    return _in_frame(np.asarray(window, dtype=np.uint8), place, frame_hw, outside)


def _letterboxed_map(
    cells: NDArray[np.generic], place: Placement, inputs_hw: tuple[int, int], at_least: np.float32
) -> Pixels:
    """Scores (h, w, classes) of a letterboxed input, sampled bilinearly at the frame's pixels, then the best class."""
    step_y, step_x = cells.shape[0] / inputs_hw[0], cells.shape[1] / inputs_hw[1]
    # Frame pixel -> model input pixel -> cell, all at pixel centres.
    y = (np.arange(place.height) + 0.5) * place.to_height / place.height + place.to_top
    x = (np.arange(place.width) + 0.5) * place.to_width / place.width + place.to_left
    map_x, map_y = np.meshgrid((x * step_x - 0.5).astype(np.float32), (y * step_y - 0.5).astype(np.float32))

    def sampled(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        found = cv2.remap(plane, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(found, dtype=np.float32)

    whole = np.ascontiguousarray(cells, dtype=np.float32)
    return _best_class(whole, (place.height, place.width), sampled, at_least)


def _in_frame(window: Pixels, place: Placement, frame_hw: tuple[int, int], outside: int) -> Pixels:
    """The frame, `outside` everywhere but in the window that the model saw."""
    if window.shape == frame_hw:
        return window
    restored = np.full(frame_hw, outside, dtype=np.uint8)
    restored[place.in_frame] = window
    return restored
