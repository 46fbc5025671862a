"""The manifest's section `detection`: all that a device needs to make boxes of a detector's outputs.

Whoever has no code of ours decodes by it: the anchors regenerate from their sizes and are proved by their hash, the
coder's factors undo the box codes, the outputs' entries say what the scores are, and what stands here says which column
is the background and which boxes stay. docs/detection.md walks through it in twenty lines of numpy.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge.artifact.model_file import Part, Sha256, TensorInfo
from edge.errors import UsageError
from edge.vision.anchors import MOST_ANCHORS, AnchorGrid, anchor_boxes, anchors_sha256
from edge.vision.box_coder import BoxCoder
from edge.vision.detections import Selection
from edge.vision.detector import FOUR_OUTPUTS, Detector, detector_of

Form = Literal["ssd", "postprocess"]
Share = Annotated[float, Field(gt=0, le=64)]
Cells = Annotated[int, Field(ge=1, le=4096)]
Factor = Annotated[float, Field(gt=0, le=1e6)]
Column = Annotated[int, Field(ge=0, le=2**17)]


class AnchorMapFacts(Part):
    """One map of anchors: rows, columns, and (height, width) of the anchors of each place, shares of the image's sides.

    The place (i, j) is centred at ((i + 0.5) / rows, (j + 0.5) / columns), y before x; with `step_hw` at
    ((i + 0.5) * step down, (j + 0.5) * step right).
    """

    rows: Cells
    columns: Cells
    sizes_hw: Annotated[tuple[tuple[Share, Share], ...], Field(min_length=1, max_length=256)]
    step_hw: tuple[Share, Share] | None = None


class Anchors(Part):
    """All maps in the order of the outputs' rows; of a map its rows, columns, then the anchors of one place.

    `sha256` is that of the float32 little-endian (count, 4): centre y, centre x, height, width; `clipped`: all cut to
    0 to 1.
    """

    maps: Annotated[tuple[AnchorMapFacts, ...], Field(min_length=1, max_length=64)]
    clipped: bool = False
    count: Annotated[int, Field(ge=1, le=MOST_ANCHORS)]
    sha256: Sha256


class Coder(Part):
    """Factors of a box code (ty, tx, th, tw): centre = t / scale * side + centre, side = exp(t / scale) * side."""

    y_scale: Factor
    x_scale: Factor
    height_scale: Factor
    width_scale: Factor


class Detection(Part):
    """How outputs become boxes.

    Attributes:
        form: how raw heads are decoded: `ssd` by anchors and coder; `postprocess` where the file does it.
        anchors, coder: of `ssd`.
        background: column of the scores that is no class; None: every column is one.
        threshold: the least probability. overlap: of two boxes of one class that overlap by more (intersection over
            union), the one with the lower score goes. most: boxes at most, the best. most_candidates: so many, the
            best, are compared.
        class_aware: boxes of different classes never suppress each other.
    """

    form: Form
    anchors: Anchors | None = None
    coder: Coder | None = None
    background: Column | None = None
    threshold: Annotated[float, Field(gt=0, lt=1)]
    overlap: Annotated[float, Field(gt=0, le=1)]
    most: Annotated[int, Field(ge=1, le=10_000)]
    most_candidates: Annotated[int, Field(ge=1, le=10**6)] = 1000
    class_aware: bool = True

    @model_validator(mode="after")
    def _regenerates(self) -> "Detection":
        needs_anchors = self.form == "ssd"
        if needs_anchors and (self.anchors is None or self.coder is None):
            raise ValueError(f"form '{self.form}' needs anchors and coder")
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


def detection_of(grid: AnchorGrid, coder: BoxCoder, selection: Selection, *, background: int | None = 0) -> Detection:
    """The section of a detector with raw heads of the form `ssd`."""
    anchors = {**grid.plain, "count": grid.count, "sha256": anchors_sha256(anchor_boxes(grid))}
    return Detection(
        form="ssd",
        anchors=Anchors.model_validate(anchors),
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
    meanings = tuple(output.meaning for output in outputs)
    if meanings == FOUR_OUTPUTS:
        return _four_problem(outputs)
    return RAW_PROBLEMS[detection.form](detection, names, outputs)


def _four_problem(outputs: tuple[TensorInfo, ...]) -> str | None:
    most = outputs[0].shape[1] if len(outputs[0].shape) == 3 else 0
    expected = ((1, most, 4), (1, most), (1, most), (1,))
    for output, shape in zip(outputs, expected, strict=True):
        if output.shape != shape:
            return (
                f"output '{output.name}' is {output.shape}; {output.meaning} of a post-processed detector are {shape}"
            )
        if output.dtype != "float32" and output.scale is None:
            return f"output '{output.name}' is {output.dtype} without a scale"
    return None


def _raw_ssd_problem(detection: Detection, names: int, outputs: tuple[TensorInfo, ...]) -> str | None:
    """Two outputs: box codes (1, anchors, 4), and scores (1, anchors, classes and background)."""
    assert detection.anchors is not None
    meanings = tuple(output.meaning for output in outputs)
    if meanings not in (("box_codes", "logits"), ("box_codes", "probabilities")):
        ends = " and ".join(f"'{meaning}'" for meaning in meanings)
        return f"outputs mean {ends}; a detector of the form 'ssd' ends in 'box_codes' and 'logits' or 'probabilities'"
    codes, scores = outputs
    count, columns = detection.anchors.count, names + (detection.background is not None)
    for output, shape in ((codes, (1, count, 4)), (scores, (1, count, columns))):
        if output.shape != shape:
            background = "" if detection.background is None else " and the background"
            made = f"{count} anchors and {names} classes{background} make {shape}"
            return f"output '{output.name}' is {output.shape}; {made}"
        if output.dtype != "float32" and output.scale is None:
            return f"output '{output.name}' is {output.dtype} without a scale"
    if scores.scores is None:
        return f"output '{scores.name}' does not say whether its scores are exclusive or independent"
    if detection.background is not None and detection.background >= columns:
        return f"background column {detection.background} of {columns}"
    return None


def _no_raw_heads(detection: Detection, names: int, outputs: tuple[TensorInfo, ...]) -> str:
    ends = " and ".join(f"'{output.meaning}'" for output in outputs)
    return f"outputs mean {ends}; a detector that selects its boxes itself ends in {', '.join(FOUR_OUTPUTS)}"


RAW_PROBLEMS = {"ssd": _raw_ssd_problem, "postprocess": _no_raw_heads}
