"""How a detector's outputs become boxes: what a manifest says of them as plain data, and the decoders by name.

What knows a device without our code finds in the manifest's section `detection` (`edge.artifact.detection`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.port import DescribedPort, dequantize
from edge.vision.anchors import AnchorGrid, anchor_boxes, grid_of
from edge.vision.box_coder import BoxCoder
from edge.vision.detections import Detections, Selection
from edge.vision.foreign_detections import Anchored, TwoOutputs, two_output_detections
from edge.vision.score_columns import ScoreColumns
from edge.vision.tflite_detections import FourOutputs

Outputs = Sequence[NDArray[Any]]
Ports = tuple[DescribedPort, ...]


@dataclass(frozen=True, kw_only=True)
class Detector:
    """What is known of a detector besides its outputs.

    Attributes:
        form: key of DECODERS: how raw heads are decoded.
        anchors, coder: None where the form needs none.
        background: column of the scores that is no class; None: every column is one.
        selection: which boxes are wanted.
        class_aware: boxes of different classes never suppress each other.
    """

    form: str
    anchors: AnchorGrid | None = None
    coder: BoxCoder | None = None
    background: int | None = None
    selection: Selection = field(default_factory=Selection)
    class_aware: bool = True


Decode = Callable[[Outputs, Ports, Detector, Selection], Detections]


def detector_of(plain: Mapping[str, Any]) -> Detector:
    """The detector that a manifest's section `detection` tells, as plain data."""
    anchors, coder = plain["anchors"], plain["coder"]
    told = {name: plain[name] for name in ("threshold", "overlap", "most", "most_candidates")}
    return Detector(
        form=plain["form"],
        anchors=None if anchors is None else grid_of(anchors),
        coder=None if coder is None else BoxCoder(**coder),
        background=plain["background"],
        selection=Selection(**told),
        class_aware=plain["class_aware"],
    )


def found_boxes(outputs: Outputs, ports: Ports, detector: Detector, selection: Selection) -> Detections:
    """One image's detections, the best first, as shares of the model's input, clipped to it.

    Args:
        outputs: raw, batch axis 1, as `ports` describe them.
        selection: which are wanted; outputs that were selected within the file hold no more than it let through.
    """
    meanings = tuple(port.meaning for port in ports)
    decode = DECODERS["postprocess" if meanings == FOUR_OUTPUTS else detector.form]
    return decode(outputs, ports, detector, selection)


def _ssd(outputs: Outputs, ports: Ports, detector: Detector, selection: Selection) -> Detections:
    return two_output_detections(outputs[0], outputs[1], _anchored(ports, detector), selection)


@lru_cache(maxsize=16)
def _anchored(ports: Ports, detector: Detector) -> TwoOutputs:
    """Made once for a model: anchors and the probabilities of all integers."""
    if detector.anchors is None or detector.coder is None:
        raise UsageError(f"form '{detector.form}' without anchors or box coder")
    codes, scores = ports
    columns = ScoreColumns(
        port=scores,
        values="logits" if scores.meaning == "logits" else "probabilities",
        exclusive=scores.scores == "exclusive",
        background=detector.background,
    )
    decode = Anchored(anchors=anchor_boxes(detector.anchors), coder=detector.coder)
    return TwoOutputs(boxes=codes, scores=columns, decode=decode)


def _selected(outputs: Outputs, ports: Ports, detector: Detector, selection: Selection) -> Detections:
    """What TFLite_Detection_PostProcess let through, of it what is wanted."""
    real = [dequantize(array, port.scale, port.zero_point) for array, port in zip(outputs, ports, strict=True)]
    found = FourOutputs(boxes=real[0], classes=real[1], scores=real[2], count=real[3]).detections
    order = np.argsort(-found.scores, kind="stable")
    wanted = order[found.scores[order] >= np.float32(selection.threshold)][: selection.most]
    return Detections(boxes=found.boxes[wanted], scores=found.scores[wanted], labels=found.labels[wanted])


FOUR_OUTPUTS = ("boxes", "classes", "scores", "count")
DECODERS: Mapping[str, Decode] = {"ssd": _ssd, "postprocess": _selected}
