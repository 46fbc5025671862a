"""The two raw heads of a detector of ours, and what is found in them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.port import Port
from edge.vision.box_coder import BoxCoder
from edge.vision.detections import Detections, Selection
from edge.vision.score_columns import ScoreColumns
from edge.vision.two_output_detections import Anchored, TwoOutputs, two_output_detections


@dataclass(frozen=True, kw_only=True, eq=False)
class Heads:
    """Box codes (1, anchors, 4), and logits (1, anchors, 1 + classes): before a sigmoid, column 0 the background."""

    codes: Port
    logits: Port
    anchors: NDArray[np.float32]
    coder: BoxCoder

    @cached_property
    def decoder(self) -> TwoOutputs:
        """Refuses (UsageError) outputs of other shapes."""
        return TwoOutputs(
            boxes=self.codes,
            scores=ScoreColumns(port=self.logits, values="logits", exclusive=False, background=0),
            decode=Anchored(anchors=self.anchors, coder=self.coder),
        )

    def found(self, codes: NDArray[Any], logits: NDArray[Any], selection: Selection) -> Detections:
        """As shares of the input."""
        return two_output_detections(codes, logits, self.decoder, selection)

    def integer_threshold(self, threshold: float) -> int | None:
        """Of the logits."""
        return self.decoder.scores.integer_threshold(threshold)
