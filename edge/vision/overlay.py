"""Predictions drawn on frames: class labels with their probabilities, a coloured class map, and boxes.

Text stands on dark or filled ground, so that it is read on bright and on dark pictures (contrast 4.5 at least).
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.vision.legend import FilmMemory, Importance, LegendPlace, corner, of_classes, of_detail, strip
from edge.vision.palette import Colour, contrast, default_palette
from edge.vision.postprocess import ClassScores
from edge.vision.tag_places import tag_places

Pixels = NDArray[np.uint8]

BACKGROUND = "background"
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE: Colour = (255, 255, 255)
_BLACK: Colour = (0, 0, 0)
_BLUE: Colour = (0, 114, 178)
_GREY: Colour = (90, 90, 90)
_EDGE: Colour = (200, 200, 200)
_OUTSIDE: Colour = (24, 24, 24)
_DARKENED = 0.35
_MOST_ROWS_BELOW = 8
_LIST_ROWS = 5
_LEAST_LISTED = 0.01
_FILM_ROWS = 3


@dataclass(frozen=True, kw_only=True)
class Style:
    """How predictions are drawn.

    Attributes:
        palette: RGB per class; empty: `default_palette`.
        opacity: of the colours of a class map, in [0, 1].
        legend: the list of classes stands in the picture where it covers least (`auto`), beside it (`outside`), or
            nowhere (`none`).
        memory: of a film, so that its legend does not jump; None: every picture is one by itself.
    """

    palette: tuple[Colour, ...] = ()
    opacity: float = 0.5
    legend: LegendPlace = "auto"
    memory: FilmMemory | None = None


PLAIN = Style()


def draw_scores(frame: Pixels, scores: ClassScores, style: Style = PLAIN) -> Pixels:
    """The best classes, one line each with a bar as long as the probability; of a film three.

    Of a picture by itself those from 1 % on, and what was decided in any case.

    The bars of what was decided are blue, those of the others grey.

    Args:
        frame: RGB uint8 (h, w, 3).

    Returns:
        A new RGB uint8 (h, w, 3); larger by a strip where the legend is outside.
    """
    if style.legend == "none":
        return frame.copy()
    rows = [
        (name, f"{100 * probability:.1f} %", min(max(probability, 0.0), 1.0))
        for name, probability in zip(scores.names, scores.probabilities, strict=True)
    ]
    size, line = _text_size(frame)
    if style.memory is not None:  # a list that grows and shrinks would flicker
        rows = rows[: max(_FILM_ROWS, scores.decided)]
    else:
        rows = [row for place, row in enumerate(rows) if place < scores.decided or row[2] >= _LEAST_LISTED] or rows[:1]
    rows = rows[: _room(frame, line)]
    number_width = _width("100.0 %", size)
    name_width = min(frame.shape[1] * 2 // 5, max(_width(name, size) for name, _, _ in rows))
    panel_hw = line * len(rows) + 6, min(frame.shape[1], name_width + number_width + 18)
    importance = of_detail(frame) if style.legend == "auto" else None
    drawn, panel = _panel(frame, panel_hw, importance, style, _LIST_ROWS)
    width = panel.shape[1]
    for row, (name, number, share) in enumerate(rows):
        baseline = 3 + line * (row + 1) - line // 4
        bar_top = 3 + line * row + 1
        bar = panel[bar_top : bar_top + line - 2, 3 : 3 + round(share * (width - 6))]
        colour = _BLUE if row < scores.decided else _GREY
        bar[:] = (bar * 0.4 + np.array(colour) * 0.6).astype(np.uint8)
        _text(panel, _shortened(name, size, width - number_width - 14), 6, baseline, size)
        _text(panel, number, width - number_width - 4, baseline, size)
    return drawn


def draw_class_map(
    frame: Pixels, class_map: Pixels, names: tuple[str, ...], palette: tuple[Colour, ...] = (), style: Style = PLAIN
) -> Pixels:
    """A class map blended over a frame, its borders in full colour; values that are no class are left as they are.

    So is a class named `background`, where no palette gives it a colour. The legend lists the classes that cover at
    least 0.1 % of the map, the largest where there is no room for all, by their index.

    Args:
        frame: RGB uint8 (h, w, 3).
        class_map: uint8 (h, w).
        names: class names by index.
        palette: RGB per class, before the style's.

    Returns:
        A new RGB uint8 (h, w, 3); larger by a strip where the legend is outside.
    """
    if class_map.shape != frame.shape[:2]:
        raise UsageError(f"a class map of {class_map.shape} does not lie over a frame of {frame.shape[:2]}")
    given = palette or style.palette
    colours = given or default_palette(len(names))
    if len(colours) != len(names):
        raise UsageError(f"{len(colours)} colours for {len(names)} classes")
    table = np.zeros((256, 3), dtype=np.uint8)
    table[: len(colours)] = colours
    coloured = np.asarray(cv2.applyColorMap(class_map, table[:, None]), dtype=np.uint8)
    blended = cv2.addWeighted(frame, 1.0 - style.opacity, coloured, style.opacity, 0.0)
    tinted = np.asarray(blended, dtype=np.uint8)
    if style.opacity:
        cv2.copyTo(coloured, _borders(class_map, max(1, round(min(frame.shape[:2]) / 360))), tinted)
    plain = [not given and name.strip().lower() == BACKGROUND for name in names]
    untinted = np.array(plain + [True] * (256 - len(names)))
    counts = np.asarray(cv2.calcHist([class_map], [0], None, [256], [0, 256]), np.int64).ravel()
    if counts[untinted].any():
        cv2.copyTo(frame, cv2.LUT(class_map, untinted.astype(np.uint8)), tinted)
    counts = counts[: len(names)]
    shown = [
        int(index)
        for index in np.argsort(-counts, kind="stable")
        if counts[index] * 1000 >= class_map.size and not plain[index]
    ]
    if style.legend == "none" or (not shown and style.legend == "auto"):
        return tinted
    return _with_legend(
        frame, tinted, class_map, [(index, names[index], colours[index]) for index in shown], untinted, style
    )


def _with_legend(
    frame: Pixels,
    tinted: Pixels,
    class_map: Pixels,
    shown: list[tuple[int, str, Colour]],
    untinted: NDArray[np.bool_],
    style: Style,
) -> Pixels:
    """A swatch and a name per class."""
    size, line = _text_size(tinted)
    most = min(_MOST_ROWS_BELOW, int(np.count_nonzero(~untinted)))
    below = style.legend == "outside" and tinted.shape[0] > tinted.shape[1]
    shown = sorted(shown[: most if below else _room(tinted, line)])
    swatch = line - 4
    widest = max((_width(name, size) for _, name, _ in shown), default=0)
    panel_hw = line * len(shown) + 6, min(tinted.shape[1], swatch + 14 + widest)
    importance = None
    if style.legend == "auto":
        importance = of_classes(class_map, tuple(np.flatnonzero(untinted).tolist()))
        if style.memory is not None:
            importance = importance + style.memory.motion(frame)
    drawn, panel = _panel(tinted, panel_hw, importance, style, most)
    for row, (_, name, colour) in enumerate(shown):
        top = 3 + line * row + 2
        cv2.rectangle(panel, (4, top), (4 + swatch, top + swatch - 1), colour, cv2.FILLED)
        cv2.rectangle(panel, (4, top), (4 + swatch, top + swatch - 1), _EDGE, 1)
        text = _shortened(name, size, panel.shape[1] - swatch - 12)
        _text(panel, text, swatch + 10, 3 + line * (row + 1) - line // 4, size)
    return drawn


def _panel(
    picture: Pixels, panel_hw: tuple[int, int], importance: Importance | None, style: Style, most_rows: int
) -> tuple[Pixels, Pixels]:
    """A new picture with dark ground for a legend, and that ground, a view into it; outside without importance."""
    if importance is None:
        size_hw, (top, left) = strip((picture.shape[0], picture.shape[1]), most_rows, _text_size(picture)[1])
        drawn = np.full((*size_hw, 3), _OUTSIDE, np.uint8)
        drawn[: picture.shape[0], : picture.shape[1]] = picture
        return drawn, drawn[top:, left:]
    drawn = picture.copy()
    # The lowest line is for the times (`draw_line`).
    rows = max(picture.shape[0] - _text_size(picture)[1] - 4, panel_hw[0])
    top, left = corner(importance, panel_hw, (rows, picture.shape[1]), style.memory)
    _darken(drawn, left, top, left + panel_hw[1], top + panel_hw[0])
    return drawn, drawn[top : top + panel_hw[0], left : left + panel_hw[1]]


def _borders(class_map: Pixels, wide: int) -> Pixels:
    """Not 0 where a pixel up to `wide` away is of another class: uint8 (h, w)."""
    around = np.ones((2 * wide + 1, 2 * wide + 1), np.uint8)
    highest, lowest = cv2.dilate(class_map, around), cv2.erode(class_map, around)
    return np.asarray(cv2.compare(highest, lowest, cv2.CMP_NE), np.uint8)


def _room(picture: Pixels, line: int) -> int:
    """How many lines a legend may have, above the line of the times."""
    return int(max(1, (picture.shape[0] - line - 10) // line))


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
    pen = max(1, round(min(frame.shape[:2]) / 200))
    corners = np.rint(boxes).astype(np.int64).reshape(-1, 4)
    line = min(max(12, min(frame.shape[:2]) // 24), 32)
    size = line / 30
    texts = [names[label] for label in labels.tolist()]
    if scores is not None:
        texts = [f"{text} {100 * score:.0f}" for text, score in zip(texts, scores.tolist(), strict=True)]
    texts = [_shortened(text, size, frame.shape[1] - 4) for text in texts]
    widths = [_width(text, size) + 4 for text in texts]
    places = tag_places(corners - (pen // 2, 0, 0, 0), widths, line, (frame.shape[0], frame.shape[1])).tolist()
    shown = list(zip(corners.tolist(), (colours[label] for label in labels), texts, widths, places, strict=True))[::-1]
    for (x0, y0, x1, y1), colour, *_ in shown:
        cv2.rectangle(drawn, (x0, y0), (x1 - 1, y1 - 1), _ink(colour), pen + 2)  # seen on ground of its own colour
        cv2.rectangle(drawn, (x0, y0), (x1 - 1, y1 - 1), colour, pen)
    for _, colour, text, wide, (left, top) in shown:
        cv2.rectangle(drawn, (left, top), (left + wide - 1, top + line - 1), colour, cv2.FILLED)
        _text(drawn, text, left + 2, top + line - 1 - line // 4, size, _ink(colour))
    return drawn


def caption_height(frame: Pixels) -> int:
    """The height of the line of `draw_line`, in pixels."""
    return _text_size(frame)[1] + 4


def draw_line(frame: Pixels, text: str, *, line_of: Pixels | None = None) -> Pixels:
    """One line of text (times, a frame rate) in the lower left corner; a new RGB uint8 (h, w, 3).

    Args:
        line_of: the picture within the frame, by whose size the text is chosen; None: the frame.
    """
    drawn = frame.copy()
    size, line = _text_size(frame if line_of is None else line_of)
    height, width = frame.shape[:2]
    text = _shortened(text, size, width - 12)
    _darken(drawn, 0, height - line - 4, _width(text, size) + 12, height)
    _text(drawn, text, 6, height - 2 - line // 4, size)
    return drawn


def draw_window(frame: Pixels, window: tuple[int, int, int, int]) -> Pixels:
    """Everything outside of a window darkened, and its edge; a new RGB uint8 (h, w, 3).

    Args:
        window: y, x, height, width in pixels: the part of the frame that the model was given.
    """
    top, left, height, width = window
    drawn = (frame * 0.5).astype(np.uint8)
    inside = slice(top, top + height), slice(left, left + width)
    drawn[inside] = frame[inside]
    pen = max(1, round(min(frame.shape[:2]) / 300))
    for colour, wide in ((_BLACK, 3 * pen), (_WHITE, pen)):
        cv2.rectangle(drawn, (left, top), (left + width - 1, top + height - 1), colour, wide)
    return drawn


def _text_size(frame: Pixels) -> tuple[float, int]:
    """Font scale and line height in pixels: readable from 96 pixels to full HD, lying and standing."""
    line = min(max(12, min(frame.shape[:2]) // 20), 36)
    return line / 32, line


def _pen(size: float) -> int:
    """How thick letters are."""
    return max(1, round(size * 1.6))


def _width(text: str, size: float) -> int:
    return int(cv2.getTextSize(text, _FONT, size, _pen(size))[0][0])


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


def _ink(ground: Colour) -> Colour:
    """Black or white, whichever is read on the ground: the contrast is 4.5 at least."""
    return max((_BLACK, _WHITE), key=lambda ink: contrast(ground, ink))


def _text(drawn: Pixels, text: str, x: int, baseline: int, size: float, ink: Colour = _WHITE) -> None:
    # OpenCV's built-in fonts draw a question mark for anything outside ASCII.
    cv2.putText(drawn, text, (x, baseline), _FONT, size, ink, _pen(size), cv2.LINE_AA)


def _darken(drawn: Pixels, left: int, top: int, right: int, bottom: int) -> None:
    window = drawn[max(top, 0) : bottom, left:right]
    window[:] = (window * _DARKENED).astype(np.uint8)
