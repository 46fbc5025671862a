"""Predicted positions beside what they should be: a row per padding, a column per target."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.explain.position import Read
from edge.explain.position_readout import KERNEL
from edge.explain.position_targets import position_targets
from edge.vision.pixels import Pixels

TILE = 150
GAP = 8
LABEL_WIDTH = 170
LINE = 24
MAP = cv2.COLORMAP_VIRIDIS


def draw_positions(reads: Sequence[Read], labels: Sequence[str]) -> Pixels:
    """The targets above, below them for each padding the mean of the predictions on photographs, with Spearman's rho.

    Args:
        labels: what the row of each is called; lines of text.

    Returns:
        RGB uint8 (h, w, 3); dark is 0, bright 1.
    """
    targets = position_targets()
    border = KERNEL // 2
    inner = {name: target[border:-border, border:-border] for name, target in targets.items()}
    rows: list[tuple[str, Mapping[str, npt.NDArray[Any]], Mapping[str, str]]] = [("target", inner, {})]
    for read, label in zip(reads, labels, strict=True):
        rows.append((label, read.predicted, {name: f"{one.spearman:.2f}" for name, one in read.photographs.items()}))
    height = LINE + len(rows) * (TILE + LINE)
    drawn = np.full((height, LABEL_WIDTH + len(targets) * (TILE + GAP), 3), 255, np.uint8)
    for column, name in enumerate(targets):
        left = LABEL_WIDTH + column * (TILE + GAP)
        _write(drawn, name, left, LINE - 8)
        for row, (_, maps, figures) in enumerate(rows):
            top = LINE + row * (TILE + LINE)
            drawn[top : top + TILE, left : left + TILE] = _coloured(maps[name])
            _write(drawn, figures.get(name, ""), left, top + TILE + LINE - 8)
    for row, (label, _, _) in enumerate(rows):
        for line, part in enumerate(label.split("\n")):
            _write(drawn, part, 6, LINE + row * (TILE + LINE) + TILE // 2 + line * LINE)
    return drawn


def _coloured(values: npt.NDArray[Any]) -> Pixels:
    grey = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    large = cv2.resize(grey, (TILE, TILE), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(large, MAP), cv2.COLOR_BGR2RGB), np.uint8)


def _write(drawn: Pixels, text: str, left: int, bottom: int) -> None:
    cv2.putText(drawn, text, (left, bottom), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1, cv2.LINE_AA)
