"""Raw outputs of an engine to answers: class scores, or a class map of the frame's size."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.vision.pixels import Geometry, Placement, placement

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """The best classes, the first first; equal scores in index order. probabilities: in [0, 1], of the same length."""

    indices: tuple[int, ...]
    names: tuple[str, ...]
    probabilities: tuple[float, ...]


def dequantize(values: NDArray[np.generic], scale: float | None, zero_point: int | None) -> NDArray[np.float32]:
    """Real values of an integer tensor, (q - zero_point) * scale in float32; a float tensor (scale None) as float32."""
    if scale is None:
        return values.astype(np.float32)
    centred = values.astype(np.int32) - np.int32(zero_point or 0)
    return np.asarray(centred.astype(np.float32) * np.float32(scale), dtype=np.float32)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax over the last axis, the largest logit subtracted first."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)


def class_scores(
    output: NDArray[np.generic],
    meaning: Literal["logits", "probabilities"],
    names: tuple[str, ...],
    *,
    scale: float | None = None,
    zero_point: int | None = None,
    top: int = 5,
) -> ClassScores:
    """The best classes of one image.

    Args:
        output: (classes,) or (1, classes), integer with scale and zero_point, or float.
        meaning: what the model's output stands for; logits go through softmax.
        names: class names by index, one per output value.
        top: how many; fewer where there are fewer classes.
    """
    raw = output.reshape(-1)
    if raw.size != len(names):
        raise UsageError(f"the model gives {raw.size} scores and there are {len(names)} class names")
    real = dequantize(raw, scale, zero_point)
    probabilities = softmax(real) if meaning == "logits" else real
    # Ordered by the raw values: softmax in float32 can make two different logits equal.
    best = np.argsort(-real.astype(np.float64), kind="stable")[:top]
    return ClassScores(
        indices=tuple(int(index) for index in best),
        names=tuple(names[index] for index in best),
        probabilities=tuple(float(probabilities[index]) for index in best),
    )


def class_map_from_logits(logits: NDArray[np.generic], size_hw: tuple[int, int]) -> Pixels:
    """Enlarge logits bilinearly (half-pixel centres), then take the best class of every pixel.

    All classes share one scale and zero point, so integer logits need not be dequantized first.

    Args:
        logits: (h, w, classes), at most 256 classes, integer or float.
        size_hw: height and width of the result.

    Returns:
        uint8 (height, width); the lower class index among equals.
    """
    height, width = size_hw
    cells = np.ascontiguousarray(logits, dtype=np.float32)
    if cells.shape[:2] == (height, width):
        return np.asarray(cells.argmax(axis=2), dtype=np.uint8)
    best = np.full((height, width), -np.inf, dtype=np.float32)
    answer = np.zeros((height, width), dtype=np.uint8)
    # One class at a time: the enlarged logits of all classes would not stay in the cache.
    for index in range(cells.shape[2]):
        plane = cv2.resize(np.ascontiguousarray(cells[:, :, index]), (width, height), interpolation=cv2.INTER_LINEAR)
        better = plane > best
        answer[better] = index
        np.maximum(best, plane, out=best)
    return answer


def frame_class_map(
    output: NDArray[np.generic],
    meaning: Literal["logits", "class_map"],
    layout: Literal["nhwc", "nchw", "nhw", "hw"],
    frame_hw: tuple[int, int],
    preprocess: Geometry,
    *,
    outside: int = 255,
) -> Pixels:
    """A segmenter's output as a class map of the original frame: the way back through `preprocess`.

    Args:
        output: one image's logits or class map at any resolution, batch axis 1 where the layout has one.
        frame_hw: height and width of the frame that was given to `resize`.
        outside: the value where the model saw nothing (fit `crop`).

    Returns:
        uint8 (frame height, frame width).
    """
    if meaning == "class_map":
        plane = output.reshape(output.shape[1:3] if layout == "nhwc" else output.shape[-2:])
        inputs_wh = (preprocess.width, preprocess.height)
        at_input = cv2.resize(plane.astype(np.uint8), inputs_wh, interpolation=cv2.INTER_NEAREST_EXACT)
        return restore_map(np.asarray(at_input, dtype=np.uint8), frame_hw, preprocess, outside=outside)
    if layout not in ("nhwc", "nchw"):
        raise UsageError(f"logits in layout '{layout}' are no segmentation output; expected nhwc or nchw")
    cells = output[0] if layout == "nhwc" else np.moveaxis(output[0], 0, -1)  # (h, w, classes)
    place = placement(frame_hw, preprocess)
    if (place.to_height, place.to_width) == (preprocess.height, preprocess.width):
        answer = class_map_from_logits(cells, (place.height, place.width))
    else:
        answer = _letterboxed_map(cells, place, (preprocess.height, preprocess.width))
    return _in_frame(answer, place, frame_hw, outside)


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
    content = class_map[place.to_top : place.to_top + place.to_height, place.to_left : place.to_left + place.to_width]
    window = cv2.resize(
        np.ascontiguousarray(content), (place.width, place.height), interpolation=cv2.INTER_NEAREST_EXACT
    )
    return _in_frame(np.asarray(window, dtype=np.uint8), place, frame_hw, outside)


def _letterboxed_map(cells: NDArray[np.generic], place: Placement, inputs_hw: tuple[int, int]) -> Pixels:
    """Logits (h, w, classes) of a letterboxed input, sampled bilinearly at the frame's pixels, then the best class."""
    step_y, step_x = cells.shape[0] / inputs_hw[0], cells.shape[1] / inputs_hw[1]
    # Frame pixel -> model input pixel -> logits cell, all at pixel centres.
    y = (np.arange(place.height) + 0.5) * place.to_height / place.height + place.to_top
    x = (np.arange(place.width) + 0.5) * place.to_width / place.width + place.to_left
    map_x, map_y = np.meshgrid((x * step_x - 0.5).astype(np.float32), (y * step_y - 0.5).astype(np.float32))
    best = np.full((place.height, place.width), -np.inf, dtype=np.float32)
    answer = np.zeros((place.height, place.width), dtype=np.uint8)
    for index in range(cells.shape[2]):
        plane = np.ascontiguousarray(cells[:, :, index], dtype=np.float32)
        sampled = cv2.remap(plane, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        answer[sampled > best] = index
        np.maximum(best, sampled, out=best)
    return answer


def _in_frame(window: Pixels, place: Placement, frame_hw: tuple[int, int], outside: int) -> Pixels:
    """The frame, `outside` everywhere but in the window that the model saw."""
    if window.shape == frame_hw:
        return window
    restored = np.full(frame_hw, outside, dtype=np.uint8)
    restored[place.top : place.top + place.height, place.left : place.left + place.width] = window
    return restored
