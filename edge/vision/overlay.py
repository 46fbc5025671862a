"""Predictions drawn on frames: class labels with their probabilities, a coloured class map, and boxes."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.vision.palette import Colour, default_palette
from edge.vision.postprocess import ClassScores
from edge.vision.tag_places import tag_places

Pixels = NDArray[np.uint8]

BACKGROUND = "background"
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE: Colour = (255, 255, 255)
_BLACK: Colour = (0, 0, 0)
_LUMA = (0.299, 0.587, 0.114)
_GREEN: Colour = (20, 110, 60)
_GREY: Colour = (90, 90, 90)


def draw_scores(frame: Pixels, scores: ClassScores) -> Pixels:
    """The best classes in the upper left corner, one line each with a bar as long as the probability.

    The bars of what was decided are green, those of the others grey.

    Args:
        frame: RGB uint8 (h, w, 3).

    Returns:
        A new RGB uint8 (h, w, 3).
    """
    rows = [
        (name, f"{100 * probability:.1f} %", min(max(probability, 0.0), 1.0))
        for name, probability in zip(scores.names, scores.probabilities, strict=True)
    ]
    drawn = frame.copy()
    size, line = _text_size(frame)
    room = max(1, (frame.shape[0] - 6) // line)
    rows = rows[:room]
    number_width = _width("100.0 %", size)
    name_width = min(frame.shape[1] // 2, max(_width(name, size) for name, _, _ in rows))
    panel_width = min(frame.shape[1], name_width + number_width + 18)
    _darken(drawn, 0, 0, panel_width, line * len(rows) + 6)
    for row, (name, number, share) in enumerate(rows):
        baseline = 3 + line * (row + 1) - line // 4
        bar_top = 3 + line * row + 1
        bar = drawn[bar_top : bar_top + line - 2, 3 : 3 + round(share * (panel_width - 6))]
        colour = _GREEN if row < scores.decided else _GREY
        bar[:] = (bar * 0.5 + np.array(colour) * 0.5).astype(np.uint8)
        _text(drawn, _shortened(name, size, name_width), 6, baseline, size)
        _text(drawn, number, panel_width - number_width - 4, baseline, size)
    return drawn


def draw_class_map(
    frame: Pixels,
    class_map: Pixels,
    names: tuple[str, ...],
    palette: tuple[Colour, ...] = (),
    *,
    opacity: float = 0.5,
    legend: bool = True,
) -> Pixels:
    """A class map blended over a frame; values that are no class are left as they are.

    So is a class named `background`, where no palette gives it a colour.

    Args:
        frame: RGB uint8 (h, w, 3).
        class_map: uint8 (h, w).
        names: class names by index.
        palette: RGB per class; empty: `default_palette`.
        opacity: of the colours, in [0, 1].
        legend: list the classes that cover at least 0.1 % of the map, the largest first.

    Returns:
        A new RGB uint8 (h, w, 3).
    """
    if class_map.shape != frame.shape[:2]:
        raise UsageError(f"a class map of {class_map.shape} does not lie over a frame of {frame.shape[:2]}")
    colours = palette or default_palette(len(names))
    if len(colours) != len(names):
        raise UsageError(f"{len(colours)} colours for {len(names)} classes")
    table = np.zeros((256, 3), dtype=np.uint8)
    table[: len(colours)] = colours
    drawn = np.asarray(cv2.addWeighted(frame, 1.0 - opacity, table[class_map], opacity, 0.0), dtype=np.uint8)
    plain = [not palette and name.strip().lower() == BACKGROUND for name in names]
    untinted = np.array(plain + [True] * (256 - len(names)))[class_map]
    drawn[untinted] = frame[untinted]
    if legend:
        counts = np.bincount(class_map.ravel(), minlength=256)[: len(names)]
        shown = [
            int(index)
            for index in np.argsort(-counts, kind="stable")
            if counts[index] * 1000 >= class_map.size and not plain[index]
        ]
        _legend(drawn, [(names[index], colours[index]) for index in shown])
    return drawn


def draw_boxes(
    frame: Pixels,
    boxes: NDArray[np.floating[Any]],
    scores: NDArray[np.floating[Any]] | None,
    labels: NDArray[np.int64],
    names: tuple[str, ...],
    palette: tuple[Colour, ...] = (),
) -> Pixels:
    """Boxes with class and score (in per cent) at them, in the colour of their class; the best lie on top.

    Tags stand where `edge.vision.tag_places` finds room, the best box's first.

    Args:
        frame: RGB uint8 (h, w, 3).
        boxes: (n, 4), x0, y0, x1, y1 in pixels of the frame; scores: (n,), in [0, 1], None: of true boxes,
            whose tags are their classes alone; labels: (n,), the best first.
        names: class names by index.
        palette: RGB per class; empty: `default_palette`.

    Returns:
        A new RGB uint8 (h, w, 3).
    """
    drawn = frame.copy()
    colours = palette or default_palette(len(names))
    if len(colours) != len(names):
        raise UsageError(f"{len(colours)} colours for {len(names)} classes")
    pen = max(1, round(min(frame.shape[:2]) / 300))
    corners = np.rint(boxes).astype(np.int64).reshape(-1, 4)
    line = min(max(10, frame.shape[0] // 32), 32)
    size = line / 28
    texts = [names[label] for label in labels.tolist()]
    if scores is not None:
        texts = [f"{text} {100 * score:.0f}" for text, score in zip(texts, scores.tolist(), strict=True)]
    texts = [_shortened(text, size, frame.shape[1] - 4) for text in texts]
    widths = [_width(text, size) + 4 for text in texts]
    places = tag_places(corners - (pen // 2, 0, 0, 0), widths, line, (frame.shape[0], frame.shape[1])).tolist()
    shown = list(zip(corners.tolist(), (colours[label] for label in labels), texts, widths, places, strict=True))[::-1]
    for (x0, y0, x1, y1), colour, *_ in shown:
        cv2.rectangle(drawn, (x0, y0), (x1 - 1, y1 - 1), colour, pen)
    for _, colour, text, wide, (left, top) in shown:
        cv2.rectangle(drawn, (left, top), (left + wide - 1, top + line - 1), colour, cv2.FILLED)
        ink = _BLACK if np.dot(colour, _LUMA) > 140 else _WHITE
        _text(drawn, text, left + 2, top + line - 1 - line // 4, size, ink)
    return drawn


def draw_line(frame: Pixels, text: str) -> Pixels:
    """One line of text (times, a frame rate) along the lower edge; a new RGB uint8 (h, w, 3)."""
    drawn = frame.copy()
    size, line = _text_size(frame)
    height, width = frame.shape[:2]
    _darken(drawn, 0, height - line - 4, width, height)
    _text(drawn, _shortened(text, size, width - 12), 6, height - 2 - line // 4, size)
    return drawn


def _legend(drawn: Pixels, rows: list[tuple[str, Colour]]) -> None:
    size, line = _text_size(drawn)
    rows = rows[: max(1, (drawn.shape[0] - 6) // line)]
    if not rows:
        return
    swatch = line - 4
    width = min(drawn.shape[1], swatch + 14 + max(_width(name, size) for name, _ in rows))
    _darken(drawn, 0, 0, width, line * len(rows) + 6)
    for row, (name, colour) in enumerate(rows):
        top = 3 + line * row + 2
        cv2.rectangle(drawn, (4, top), (4 + swatch, top + swatch - 1), colour, cv2.FILLED)
        _text(drawn, _shortened(name, size, width - swatch - 12), swatch + 10, 3 + line * (row + 1) - line // 4, size)


def _text_size(frame: Pixels) -> tuple[float, int]:
    """Font scale and line height in pixels: readable from 96 pixels to full HD."""
    line = min(max(11, frame.shape[0] // 22), 36)
    return line / 32, line


def _width(text: str, size: float) -> int:
    return int(cv2.getTextSize(text, _FONT, size, 1)[0][0])


def _shortened(text: str, size: float, width: int) -> str:
    """The text, cut with two dots where it is wider than `width` pixels."""
    text = text[: max(width, 1)]  # no letter is narrower than a pixel
    if _width(text, size) <= width:
        return text
    fits, beyond = 1, len(text)
    while beyond - fits > 1:
        middle = (fits + beyond) // 2
        fits, beyond = (middle, beyond) if _width(text[:middle] + "..", size) <= width else (fits, middle)
    return text[:fits] + ".."


def _text(drawn: Pixels, text: str, x: int, baseline: int, size: float, ink: Colour = _WHITE) -> None:
    # OpenCV's built-in fonts draw a question mark for anything outside ASCII.
    cv2.putText(drawn, text, (x, baseline), _FONT, size, ink, max(1, round(size * 1.6)), cv2.LINE_AA)


def _darken(drawn: Pixels, left: int, top: int, right: int, bottom: int) -> None:
    window = drawn[max(top, 0) : bottom, left:right]
    window[:] = (window * 0.35).astype(np.uint8)
