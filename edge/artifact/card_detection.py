"""The card's section `[detection]`: how a foreign detector's outputs become boxes.

```toml
[detection]
form = "ssd"                     # codes relative to anchors; "boxes": boxes as they are; "yolo": one output of both;
                                 # "postprocess": the four outputs of TFLite_Detection_PostProcess
boxes = "boxes"                  # which output, by name or place (0, 1, ...)
scores = "scores"                # (postprocess: also classes and count)
background = 0                   # the column of the scores that is no class, or "none"
order = "xywh"                   # ssd: of a code's numbers; "yxhw" is TensorFlow's
variances = [0.1, 0.1, 0.2, 0.2] # ssd: what a code's numbers are multiplied by, in their order
box = "cxcywh"                   # boxes, yolo: centre and sides; or "xywh", "xyxy", "yxyx"
unit = "pixels"                  # boxes, yolo: of the input; or "shares" of its sides
objectness = false               # yolo: whether column 4 is a score that multiplies the classes' (YOLOv5)
threshold = 0.3                  # what is found unless asked otherwise
overlap = 0.6                    # of two boxes of a class that overlap by more the better one stays
most = 100

[detection.anchors]              # ssd
strides = [8, 16]                # per map: pixels from one place to the next, and the sizes at each
sizes = [[10, 16], [[32, 48]]]   # in pixels: squares, or [width, height]
clipped = true                   # anchors are cut to the image
# maps = [[20, 20], [10, 10]]    # instead of both: the grid of SSD and SSDLite over maps of these rows and columns
```
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from edge.strict import Strict
from edge.vision.anchors import AnchorGrid, ssd_grid, strided_grid
from edge.vision.detections import MOST_BOXES
from edge.vision.plain_boxes import BoxFormat
from edge.vision.two_output_detections import CodeOrder

Side = Annotated[float, Field(gt=0, le=1e6)]
Count = Annotated[int, Field(ge=1, le=16384)]
Variance = Annotated[float, Field(gt=0, le=1e6)]
Unit = Literal["pixels", "shares"]
DetectionForm = Literal["ssd", "boxes", "yolo", "postprocess"]
OUTPUTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ssd": ("boxes", "scores"),
        "boxes": ("boxes", "scores"),
        "yolo": (),
        "postprocess": ("boxes", "classes", "scores", "count"),
    }
)
"""The outputs that a form names; of `yolo` the only one, or the card's `output`."""
KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ssd": (*OUTPUTS["ssd"], "background", "order", "variances", "anchors"),
        "boxes": (*OUTPUTS["boxes"], "background", "box", "unit"),
        "yolo": ("box", "unit", "objectness"),
        "postprocess": OUTPUTS["postprocess"],
    }
)
"""The keys that a form needs, and takes beside `threshold`, `most` and (not `postprocess`) `overlap`."""


def _name_or_place(value: object) -> object:
    if isinstance(value, str) or (type(value) is int and value >= 0):
        return value
    raise ValueError("give an output's name, or its place from 0")


def _column_or_none(value: object) -> object:
    if value == "none" or (type(value) is int and 0 <= value < 2**16):
        return value
    raise ValueError("give the column that is no class, from 0, or 'none'")


def _square(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (float(value), float(value))
    return tuple(value) if isinstance(value, list) else value


Output = Annotated[str | int, BeforeValidator(_name_or_place)]
SizeWh = Annotated[tuple[Side, Side], BeforeValidator(_square)]
Background = Annotated[int | Literal["none"], BeforeValidator(_column_or_none)]


class CardAnchors(Strict):
    """Anchors by the few numbers that regenerate them."""

    maps: Annotated[tuple[tuple[Count, Count], ...], Field(min_length=2, max_length=64)] | None = None
    strides: Annotated[tuple[Count, ...], Field(min_length=1, max_length=64)] | None = None
    sizes: Annotated[tuple[tuple[SizeWh, ...], ...], Field(min_length=1, max_length=64)] | None = None
    clipped: bool = False

    @model_validator(mode="after")
    def _one_recipe(self) -> "CardAnchors":
        if (self.maps is None) == (self.strides is None) or (self.strides is None) != (self.sizes is None):
            raise ValueError("give either maps, or strides and sizes")
        if self.strides is not None and self.sizes is not None and len(self.strides) != len(self.sizes):
            raise ValueError(f"{len(self.strides)} strides for {len(self.sizes)} lists of sizes; one list per stride")
        return self

    def grid(self, size_hw: tuple[int, int]) -> AnchorGrid:
        """The anchors of an input of this height and width."""
        if self.maps is not None:
            return AnchorGrid(maps=ssd_grid(self.maps).maps, clipped=self.clipped)
        return strided_grid(size_hw, self.strides or (), self.sizes or (), clipped=self.clipped)


class CardDetection(Strict):
    """The keys of the section; which of them a form takes stands in KEYS."""

    form: DetectionForm
    boxes: Output | None = None
    scores: Output | None = None
    classes: Output | None = None
    count: Output | None = None
    background: Background | None = None
    order: CodeOrder | None = None
    variances: Annotated[tuple[Variance, ...], Field(min_length=4, max_length=4)] | None = None
    anchors: CardAnchors | None = None
    box: BoxFormat | None = None
    unit: Unit | None = None
    objectness: bool | None = None
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.3
    overlap: Annotated[float, Field(gt=0, le=1)] | None = None
    most: Annotated[int, Field(ge=1, le=MOST_BOXES)] = 100

    @model_validator(mode="after")
    def _keys_of_the_form(self) -> "CardDetection":
        optional = {key for keys in KEYS.values() for key in keys} | {"overlap"}
        said = {key for key in optional if getattr(self, key) is not None}
        if missing := [key for key in KEYS[self.form] if key not in said]:
            raise ValueError(f"form = '{self.form}' needs {', '.join(missing)}")
        takes = {*KEYS[self.form], *(() if self.form == "postprocess" else ("overlap",))}
        if more := sorted(said - takes):
            raise ValueError(f"form = '{self.form}' has no {', '.join(more)}")
        return self
