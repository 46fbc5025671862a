"""One output of boxes and scores side by side in each row or column (YOLO and its kin), to what was found."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.port import dequantize
from edge.vision.detections import Detections, Selection, chosen
from edge.vision.score_columns import ScoreColumns
from edge.vision.two_output_detections import Plain

Floats = NDArray[np.float32]
BOX_COLUMNS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class OneOutput:
    """How one output is decoded: per cell the box, then (`objectness`) whether there is anything, then the classes.

    Attributes:
        scores: of the output, which is (1, columns, cells) (`columns_first`, YOLOv8) or (1, cells, columns) (YOLOv5).
        objectness: a score that every class's is multiplied by.
    """

    scores: ScoreColumns
    decode: Plain
    columns_first: bool
    objectness: bool

    def __post_init__(self) -> None:
        shape = self.scores.port.shape
        if len(shape) != 3 or shape[0] != 1 or shape[1 if self.columns_first else 2] <= self.first:
            order = "columns, cells" if self.columns_first else "cells, columns"
            raise UsageError(f"an output of shape {shape}; expected (1, {order}) with more than {self.first} columns")
        if self.scores.exclusive and self.scores.values == "logits":
            raise UsageError("one output of boxes and scores with a softmax; only sigmoids are known")

    @property
    def first(self) -> int:
        """The column of the first class."""
        return BOX_COLUMNS + self.objectness


def one_output_detections(raw: NDArray[Any], decoder: OneOutput, selection: Selection) -> Detections:
    """One image's detections, as shares of the model's input, clipped to it.

    A class's score is at most its cell's objectness: cells whose objectness is below the threshold are not looked at.

    Args:
        raw: of the shape and type that the decoder was made for.
    """
    table = raw[0].T if decoder.columns_first else raw[0]  # (cells, columns)
    columns = decoder.scores
    if decoder.objectness:
        there = table[:, BOX_COLUMNS]
        cells = np.flatnonzero(columns.may_reach(there, selection.threshold))
        rows, labels, scores = columns.reaching(table[cells, decoder.first :], selection.threshold)
        rows = np.asarray(cells[rows], np.int64)
        scores = scores * columns.probability(there[rows])
        passed = scores >= np.float32(selection.threshold)
        rows, labels, scores = rows[passed], labels[passed], scores[passed]
    else:
        rows, labels, scores = columns.reaching(table[:, decoder.first :], selection.threshold)

    def decode(kept: NDArray[np.int64]) -> Floats:
        real = dequantize(table[kept, :BOX_COLUMNS], columns.port.scale, columns.port.zero_point)
        return decoder.decode.boxes(real, kept)

    return chosen(rows, labels, scores, decode, selection)
