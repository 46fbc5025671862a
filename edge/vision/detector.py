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
from edge.vision.four_outputs import FOUR_OUTPUTS, FourOutputs
from edge.vision.plain_boxes import BoxFormat
from edge.vision.score_columns import ScoreColumns, Values
from edge.vision.two_output_detections import Anchored, CodeOrder, Plain, TwoOutputs, two_output_detections
from edge.vision.yolo_detections import OneOutput, one_output_detections

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
        order: of a code's numbers. box, extent_wh: of boxes as they are, see `edge.vision.plain_boxes`.
        values, objectness: of scores that stand beside their boxes in one output.
    """

    form: str
    anchors: AnchorGrid | None = None
    coder: BoxCoder | None = None
    order: CodeOrder = "yxhw"
    box: BoxFormat | None = None
    extent_wh: tuple[float, float] = (1.0, 1.0)
    values: Values | None = None
    objectness: bool = False
    background: int | None = None
    selection: Selection = field(default_factory=Selection)


Decode = Callable[[Outputs, Ports, Detector, Selection], Detections]


def detector_of(plain: Mapping[str, Any]) -> Detector:
    """The detector that a manifest's section `detection` tells, as plain data."""
    anchors, coder = plain["anchors"], plain["coder"]
    told = {name: plain[name] for name in ("threshold", "overlap", "most", "most_candidates", "class_aware")}
    return Detector(
        form=plain["form"],
        anchors=None if anchors is None else grid_of(anchors),
        coder=None if coder is None else BoxCoder(**coder),
        background=plain["background"],
        selection=Selection(**told),
        order=plain.get("order", "yxhw"),
        box=plain.get("box"),
        extent_wh=tuple(plain.get("extent_wh", (1.0, 1.0))),
        values=plain.get("values"),
        objectness=plain.get("objectness", False),
    )


def found_boxes(outputs: Outputs, ports: Ports, detector: Detector, selection: Selection) -> Detections:
    """One image's detections, the best first, as shares of the model's input, clipped to it.

    Args:
        outputs: raw, batch axis 1, as `ports` describe them.
        selection: which are wanted; outputs that were selected within the file hold no more than it let through.
    """
    meanings = tuple(port.meaning for port in ports)
    decode = DECODERS["postprocess" if set(meanings) == set(FOUR_OUTPUTS) else detector.form]
    return decode(outputs, ports, detector, selection)


def _two(outputs: Outputs, ports: Ports, detector: Detector, selection: Selection) -> Detections:
    places = {port.meaning: place for place, port in enumerate(ports)}
    boxes = places[BOX_MEANINGS[detector.form]]
    return two_output_detections(outputs[boxes], outputs[1 - boxes], _two_outputs(ports, detector), selection)


@lru_cache(maxsize=16)
def _two_outputs(ports: Ports, detector: Detector) -> TwoOutputs:
    """Made once for a model: anchors and the probabilities of all integers."""
    boxes = next(port for port in ports if port.meaning == BOX_MEANINGS[detector.form])
    scores = next(port for port in ports if port is not boxes)
    columns = ScoreColumns(
        port=scores,
        values=_values(scores.meaning),
        exclusive=scores.scores == "exclusive",
        background=detector.background,
    )
    return TwoOutputs(boxes=boxes, scores=columns, decode=_decode(detector))


def _decode(detector: Detector) -> Anchored | Plain:
    if detector.form != "ssd":
        return _plain(detector)
    if detector.anchors is None or detector.coder is None:
        raise UsageError(f"form '{detector.form}' without anchors or box coder")
    return Anchored(anchors=anchor_boxes(detector.anchors), coder=detector.coder, order=detector.order)


def _plain(detector: Detector) -> Plain:
    if detector.box is None:
        raise UsageError(f"form '{detector.form}' without the form of its boxes")
    return Plain(form=detector.box, extent_wh=detector.extent_wh)


def _values(meaning: str | None) -> Values:
    return "logits" if meaning == "logits" else "probabilities"


def _one(outputs: Outputs, ports: Ports, detector: Detector, selection: Selection) -> Detections:
    return one_output_detections(outputs[0], _one_output(ports, detector), selection)


@lru_cache(maxsize=16)
def _one_output(ports: Ports, detector: Detector) -> OneOutput:
    columns = ScoreColumns(port=ports[0], values=_values(detector.values), exclusive=False, background=None)
    return OneOutput(
        scores=columns,
        decode=_plain(detector),
        columns_first=ports[0].layout == COLUMNS_FIRST,
        objectness=detector.objectness,
    )


def _selected(outputs: Outputs, ports: Ports, detector: Detector, selection: Selection) -> Detections:
    """What TFLite_Detection_PostProcess let through, of it what is wanted."""
    real = {
        port.meaning: dequantize(array, port.scale, port.zero_point) for array, port in zip(outputs, ports, strict=True)
    }
    found = FourOutputs(**real).detections
    order = np.argsort(-found.scores, kind="stable")
    wanted = order[found.scores[order] >= np.float32(selection.threshold)][: selection.most]
    return Detections(boxes=found.boxes[wanted], scores=found.scores[wanted], labels=found.labels[wanted])


BOX_MEANINGS: Mapping[str, str] = {"ssd": "box_codes", "boxes": "boxes"}
COLUMNS_FIRST, CELLS_FIRST = "columns_cells", "cells_columns"
"""Layouts of one output of boxes and scores: (1, columns, cells) and (1, cells, columns)."""
DECODERS: Mapping[str, Decode] = {"ssd": _two, "boxes": _two, "yolo": _one, "postprocess": _selected}
