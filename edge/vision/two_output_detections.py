"""Two outputs of a detector, one of boxes and one of scores, to what was found.

Boxes are codes relative to anchors (SSD and its kin), or boxes as they are (decoded within the graph).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.port import Port, dequantize
from edge.vision.box_coder import BoxCoder, decode_boxes
from edge.vision.detections import Detections, Selection, chosen
from edge.vision.plain_boxes import BoxFormat, corners
from edge.vision.score_columns import ScoreColumns

Floats = NDArray[np.float32]
CodeOrder = Literal["yxhw", "xywh"]
IN_OUR_ORDER = {"yxhw": [0, 1, 2, 3], "xywh": [1, 0, 3, 2]}


@dataclass(frozen=True, kw_only=True, eq=False)
class Anchored:
    """Box codes: their order, anchors float32 (n, 4) (see `edge.vision.anchors.anchor_boxes`) and their factors."""

    anchors: Floats
    coder: BoxCoder
    order: CodeOrder = "yxhw"

    def boxes(self, values: Floats, rows: NDArray[np.int64]) -> Floats:
        """Corners as shares, not clipped, of codes float32 (k, 4) of these rows."""
        return decode_boxes(values[:, IN_OUR_ORDER[self.order]], self.anchors[rows], self.coder)


@dataclass(frozen=True, kw_only=True)
class Plain:
    """Boxes as they are, see `edge.vision.plain_boxes`."""

    form: BoxFormat
    extent_wh: tuple[float, float]

    def boxes(self, values: Floats, rows: NDArray[np.int64]) -> Floats:
        """Corners as shares, not clipped, of boxes float32 (k, 4)."""
        return corners(values, self.form, self.extent_wh)


@dataclass(frozen=True, kw_only=True, eq=False)
class TwoOutputs:
    """How two outputs are decoded: (1, n, 4) of boxes or codes, (1, n, columns) of scores."""

    boxes: Port
    scores: ScoreColumns
    decode: Anchored | Plain

    def __post_init__(self) -> None:
        shape, scores = self.boxes.shape, self.scores.port.shape
        if len(shape) != 3 or shape[0] != 1 or shape[2] != 4:
            raise UsageError(f"boxes of shape {shape}; expected (1, n, 4)")
        if len(scores) != 3 or scores[:2] != shape[:2]:
            raise UsageError(f"scores of shape {scores} for {shape[1]} boxes; expected (1, {shape[1]}, columns)")
        if isinstance(self.decode, Anchored) and len(self.decode.anchors) != shape[1]:
            raise UsageError(f"{len(self.decode.anchors)} anchors for {shape[1]} boxes")


def two_output_detections(
    boxes: NDArray[Any], scores: NDArray[Any], decoder: TwoOutputs, selection: Selection
) -> Detections:
    """One image's detections, as shares of the model's input, clipped to it.

    Args:
        boxes, scores: raw, of the shapes and types that the decoder was made for.
    """
    rows, labels, probabilities = decoder.scores.reaching(scores[0], selection.threshold)

    def decode(kept: NDArray[np.int64]) -> Floats:
        real = dequantize(boxes[0][kept], decoder.boxes.scale, decoder.boxes.zero_point)
        return decoder.decode.boxes(real, kept)

    return chosen(rows, labels, probabilities, decode, selection)
