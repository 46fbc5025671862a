"""The manifest's section `detection`: all that a device needs to make boxes of a detector's outputs.

Whoever has no code of ours decodes by it: the anchors regenerate from their sizes and are proved by their hash, the
coder's factors undo the box codes, the outputs' entries say what the scores are, and what stands here says which column
is the background and which boxes stay. docs/detection.md walks through it in twenty lines of numpy.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge.artifact.model_file import Part, Sha256, TensorInfo
from edge.errors import UsageError
from edge.vision.anchors import MOST_ANCHORS, AnchorGrid, anchor_boxes, anchors_sha256
from edge.vision.box_coder import BoxCoder
from edge.vision.detections import MOST_BOXES, Selection
from edge.vision.detector import BOX_MEANINGS, CELLS_FIRST, COLUMNS_FIRST, Detector, detector_of
from edge.vision.four_outputs import FOUR_OUTPUTS
from edge.vision.plain_boxes import BoxFormat
from edge.vision.score_columns import Values
from edge.vision.two_output_detections import CodeOrder
from edge.vision.yolo_detections import BOX_COLUMNS

Form = Literal["ssd", "boxes", "yolo", "postprocess"]
Share = Annotated[float, Field(gt=0, le=64)]
Cells = Annotated[int, Field(ge=1, le=4096)]
Factor = Annotated[float, Field(gt=0, le=1e6)]
Extent = Annotated[float, Field(gt=0, le=1e6)]
Column = Annotated[int, Field(ge=0, le=2**17)]


class AnchorMapFacts(Part):
    """One map of anchors: rows, columns, and (height, width) of the anchors of each place, shares of the image's sides.

    The place (i, j) is centred at ((i + 0.5) / rows, (j + 0.5) / columns), y before x; where `step_hw` is given, at
    ((i + 0.5) * step, (j + 0.5) * step).
    """

    rows: Cells
    columns: Cells
    sizes_hw: Annotated[tuple[tuple[Share, Share], ...], Field(min_length=1, max_length=256)]
    step_hw: tuple[Share, Share] | None = None


class Anchors(Part):
    """All maps in the order of the outputs' rows; of a map its rows, columns, then the anchors of one place.

    `sha256` is that of the float32 little-endian (count, 4): centre y, centre x, height, width. `clipped`: all four are
    cut to 0 to 1.
    """

    maps: Annotated[tuple[AnchorMapFacts, ...], Field(min_length=1, max_length=64)]
    clipped: bool = False
    count: Annotated[int, Field(ge=1, le=MOST_ANCHORS)]
    sha256: Sha256


class Coder(Part):
    """Factors of a box code: a centre is t / scale * side + centre of the anchor, a side exp(t / scale) * its side."""

    y_scale: Factor
    x_scale: Factor
    height_scale: Factor
    width_scale: Factor


class Detection(Part):
    """How outputs become boxes.

    Attributes:
        form: how raw heads are decoded: `ssd` by anchors and coder; `boxes` where they are boxes already; `yolo` where
            one output holds per cell the box, objectness if any, and the scores; `postprocess` where the file does all.
        anchors, coder: of `ssd`. order: of the numbers of a code: ty, tx, th, tw, or tx, ty, tw, th.
        box: of `boxes` and `yolo`: centre and sides, corner and sides, or two corners. extent_wh: what the input's
            width and height are in these numbers: its pixels, or 1 and 1.
        values: of the scores of `yolo` (those of an output of their own say it by its meaning). objectness: column 4 of
            `yolo` is a score that multiplies the classes'.
        background: column of the scores that is no class; None: every column is one.
        threshold: the least probability. overlap: of two boxes of one class that overlap by more (intersection over
            union), the one with the lower score goes. most: boxes at most, the best. most_candidates: so many, the
            best, are compared.
        class_aware: boxes of different classes never suppress each other.
    """

    form: Form
    anchors: Anchors | None = None
    coder: Coder | None = None
    order: CodeOrder = "yxhw"
    box: BoxFormat | None = None
    extent_wh: tuple[Extent, Extent] = (1.0, 1.0)
    values: Values | None = None
    objectness: bool = False
    background: Column | None = None
    threshold: Annotated[float, Field(gt=0, lt=1)]
    overlap: Annotated[float, Field(gt=0, le=1)]
    most: Annotated[int, Field(ge=1, le=MOST_BOXES)]
    most_candidates: Annotated[int, Field(ge=1, le=MOST_BOXES)] = 1000
    class_aware: bool = True

    @model_validator(mode="after")
    def _regenerates(self) -> "Detection":
        needs_anchors = self.form == "ssd"
        if needs_anchors and (self.anchors is None or self.coder is None):
            raise ValueError(f"form '{self.form}' needs anchors and coder")
        if self.form in ("boxes", "yolo") and self.box is None:
            raise ValueError(f"form '{self.form}' needs box: how its numbers make a box")
        if self.form == "yolo" and self.values is None:
            raise ValueError("form 'yolo' needs values: whether its scores are logits or probabilities")
        if self.most_candidates < self.most:
            raise ValueError(f"{self.most} boxes of {self.most_candidates} candidates")
        if self.anchors is None:
            return self
        try:
            grid = self.detector.anchors
        except UsageError as error:
            raise ValueError(str(error)) from error
        assert grid is not None
        if grid.count != self.anchors.count:
            raise ValueError(f"the maps make {grid.count} anchors, not {self.anchors.count}")
        if (found := anchors_sha256(anchor_boxes(grid))) != self.anchors.sha256:
            raise ValueError(f"the maps' anchors have sha256 {found[:12]}..., not {self.anchors.sha256[:12]}...")
        return self

    @property
    def detector(self) -> Detector:
        """The same for decoders, which need no pydantic."""
        return detector_of(self.model_dump(mode="json"))


def anchors_of(grid: AnchorGrid) -> Anchors:
    """The anchors of a grid, with their hash."""
    return Anchors.model_validate({**grid.plain, "count": grid.count, "sha256": anchors_sha256(anchor_boxes(grid))})


def detection_of(grid: AnchorGrid, coder: BoxCoder, selection: Selection, *, background: int | None = 0) -> Detection:
    """The section of a detector with raw heads of the form `ssd`."""
    return Detection(
        form="ssd",
        anchors=anchors_of(grid),
        coder=Coder(
            y_scale=coder.y_scale,
            x_scale=coder.x_scale,
            height_scale=coder.height_scale,
            width_scale=coder.width_scale,
        ),
        background=background,
        threshold=selection.threshold,
        overlap=selection.overlap,
        most=selection.most,
        most_candidates=selection.most_candidates,
    )


def detection_problem(detection: Detection | None, names: int, outputs: tuple[TensorInfo, ...]) -> str | None:
    """Why these outputs, those that are told, make no boxes of so many classes, in words; None where they do."""
    if detection is None:
        return "a detector without the section 'detection', which says how its outputs become boxes"
    if {output.meaning for output in outputs} == set(FOUR_OUTPUTS) and len(outputs) == len(FOUR_OUTPUTS):
        return _four_problem({output.meaning: output for output in outputs})
    return RAW_PROBLEMS[detection.form](detection, names, outputs)


def _four_problem(outputs: Mapping[str, TensorInfo]) -> str | None:
    boxes = outputs["boxes"].shape
    most = boxes[1] if len(boxes) == 3 else 0
    for meaning, shape in zip(FOUR_OUTPUTS, ((1, most, 4), (1, most), (1, most), (1,)), strict=True):
        output = outputs[meaning]
        if output.shape != shape:
            return f"output '{output.name}' is {output.shape}; {meaning} of a post-processed detector are {shape}"
        if problem := _unreal(output):
            return problem
    return None


def _two_problem(detection: Detection, names: int, outputs: tuple[TensorInfo, ...]) -> str | None:
    """Two outputs in any order: box codes or boxes (1, n, 4), and scores (1, n, classes and background)."""
    boxes = [output for output in outputs if output.meaning == BOX_MEANINGS[detection.form]]
    scored = [output for output in outputs if output.meaning in ("logits", "probabilities")]
    wanted = BOX_MEANINGS[detection.form]
    if (len(boxes), len(scored), len(outputs)) != (1, 1, 2):
        ends = " and ".join(f"'{output.meaning}'" for output in outputs)
        return (
            f"outputs mean {ends}; a detector of the form '{detection.form}' ends in '{wanted}' and 'logits' or "
            "'probabilities'"
        )
    count = boxes[0].shape[1] if detection.anchors is None and len(boxes[0].shape) == 3 else 0
    count = count if detection.anchors is None else detection.anchors.count
    columns = names + (detection.background is not None)
    for output, shape in ((boxes[0], (1, count, BOX_COLUMNS)), (scored[0], (1, count, columns))):
        if output.shape != shape:
            background = "" if detection.background is None else " and the background"
            rows = f"{count} {'boxes' if detection.anchors is None else 'anchors'}"
            return f"output '{output.name}' is {output.shape}; {rows} and {names} classes{background} make {shape}"
        if problem := _unreal(output):
            return problem
    if scored[0].scores is None:
        return f"output '{scored[0].name}' does not say whether its scores are exclusive or independent"
    if detection.background is not None and detection.background >= columns:
        return f"background column {detection.background} of {columns}"
    return None


def _one_problem(detection: Detection, names: int, outputs: tuple[TensorInfo, ...]) -> str | None:
    """One output of cells: the box, objectness if any, and the scores."""
    if len(outputs) != 1 or outputs[0].meaning != "cells":
        ends = " and ".join(f"'{output.meaning}'" for output in outputs)
        return f"outputs mean {ends}; a detector of the form 'yolo' ends in 'cells'"
    output, columns = outputs[0], BOX_COLUMNS + detection.objectness + names
    axes = {COLUMNS_FIRST: 1, CELLS_FIRST: 2}
    if output.layout not in axes:
        return f"output '{output.name}' in layout '{output.layout}'; expected {' or '.join(axes)}"
    if len(output.shape) != 3 or output.shape[0] != 1 or output.shape[axes[output.layout]] != columns:
        return f"output '{output.name}' is {output.shape} ({output.layout}); {names} classes make {columns} columns"
    return _unreal(output)


def _unreal(output: TensorInfo) -> str | None:
    if output.dtype != "float32" and output.scale is None:
        return f"output '{output.name}' is {output.dtype} without a scale"
    return None


def _no_raw_heads(detection: Detection, names: int, outputs: tuple[TensorInfo, ...]) -> str:
    ends = " and ".join(f"'{output.meaning}'" for output in outputs)
    return f"outputs mean {ends}; a detector that selects its boxes itself ends in {', '.join(FOUR_OUTPUTS)}"


RAW_PROBLEMS = {"ssd": _two_problem, "boxes": _two_problem, "yolo": _one_problem, "postprocess": _no_raw_heads}
