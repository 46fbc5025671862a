"""What a manifest says of one model file: its hash, its inputs and outputs, and the labels they speak of."""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from edge.port import DescribedPort, Port, Scores
from edge.strict import Strict

Meaning = Literal[
    "image",
    "logits",
    "probabilities",
    "class_map",
    "box_codes",
    "boxes",
    "classes",
    "scores",
    "count",
    "cells",
    "features",
    "points",
    "other",
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileSize = Annotated[int, Field(ge=1, le=2**31)]  # neither format's files hold more
Scale = Annotated[float, Field(ge=2.0**-126, le=2.0**126)]  # normal float32
Name = Annotated[str, Field(max_length=1024)]  # of classes and tensors
Text = Annotated[str, Field(max_length=2**20)]
Channel = Annotated[int, Field(ge=0, le=255)]
MaskEntry = Annotated[int, Field(ge=-1, le=255)]
Size = Annotated[int, Field(ge=1, le=2**31 - 1)]


class Part(Strict, strict=False):
    """Frozen, and every unknown key is refused; a list is taken for a tuple, as JSON writes it."""


class TensorInfo(Part):
    """An input or output of a model file.

    `layout` is the axis order (`nhwc`, `nchw`, `nc`, `nhw`; `nac` of a detector's anchors); `scale` and `zero_point`
    are given for quantized tensors; `stride` says that one output cell stands for stride x stride input pixels (1 at
    full resolution). A uint8 image without a scale takes the pixels as they are. `scores` says of logits and
    probabilities whether they exclude each other (softmax) or not (sigmoid); see `edge.artifact.output_form`. A
    detector's outputs mean `box_codes` or `boxes` and scores, `cells` of both in one, or `boxes`, `classes`, `scores`
    and `count` of those that were selected; see `edge.artifact.detection`. `features` and `points` are what a
    point head reads; see `edge.artifact.point_head`. An output that means `other` is described, and nothing reads it.
    """

    name: Name
    shape: Annotated[tuple[Size, ...], Field(max_length=16)]
    dtype: Literal["float32", "int8", "uint8", "int16", "int32", "int64"]
    layout: Annotated[str, Field(max_length=16)]
    meaning: Meaning
    scores: Scores | None = None
    scale: Scale | None = None
    zero_point: Annotated[int, Field(ge=-(2**31), le=2**31 - 1)] | None = None
    stride: Size | None = None

    @property
    def port(self) -> Port:
        """What an engine shows of it too."""
        return Port(name=self.name, shape=self.shape, dtype=self.dtype, scale=self.scale, zero_point=self.zero_point)

    @property
    def described(self) -> DescribedPort:
        """What the roads into a model and out of it read."""
        return DescribedPort(**self.model_dump(exclude={"stride"}))

    @model_validator(mode="after")
    def _quantized_as_its_type_can_be(self) -> "TensorInfo":
        if (self.scale is None) != (self.zero_point is None):
            raise ValueError("scale and zero_point belong together")
        if self.zero_point is None:
            return self
        if self.dtype == "float32":
            raise ValueError("a float32 tensor has no scale")
        limits = np.iinfo(self.dtype)
        if not limits.min <= self.zero_point <= limits.max:
            raise ValueError(f"zero point {self.zero_point} is outside {self.dtype}")
        return self


class ModelFile(Part):
    """One model file: format_version is the opset of an ONNX file or the schema version of a TFLite file."""

    path: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$", max_length=100)]
    format: Literal["tflite", "onnx"]
    role: Literal["run", "source"]
    sha256: Sha256
    size_bytes: FileSize
    format_version: Annotated[int, Field(ge=1, le=10**6)]
    inputs: Annotated[tuple[TensorInfo, ...], Field(min_length=1, max_length=256)]
    outputs: Annotated[tuple[TensorInfo, ...], Field(min_length=1, max_length=256)]

    @property
    def told(self) -> tuple[int, ...]:
        """Places of the outputs that mean something to the task: all but `other`."""
        return tuple(place for place, output in enumerate(self.outputs) if output.meaning != "other")

    @property
    def answer(self) -> int:
        """Place of the output that a predictor reads: the first that is told."""
        return next(iter(self.told), 0)


def name_problem(names: Sequence[str]) -> str | None:
    """Why class names cannot stand in a label file, which has one name a line; None where they can."""
    for index, name in enumerate(names):
        if name != name.strip() or not name or not name.isprintable():
            return (
                f"class name {index} is {name!r:.100}; the label file in a TFLite file holds one name a line: "
                "take out line breaks, other control characters and blanks around it"
            )
    return None


class Labels(Part):
    """Class names in index order, and what the masks of a segmenter's training were.

    Attributes:
        palette: one RGB colour per class.
        ignore_index: what void is in a mask, after `mask_table`.
        mask_table: class index, void or -1 (refused) by value in a mask file; None: values are class indices.
        mask_colours: red, green, blue, and class index or void, of masks of colours; None: the palette says it.
    """

    names: Annotated[tuple[Name, ...], Field(max_length=2**17)]
    palette: tuple[tuple[Channel, Channel, Channel], ...] | None = None
    ignore_index: Channel | None = None
    mask_table: Annotated[tuple[MaskEntry, ...], Field(min_length=256, max_length=256)] | None = None
    mask_colours: Annotated[tuple[tuple[Channel, Channel, Channel, Channel], ...], Field(max_length=512)] | None = None

    @model_validator(mode="after")
    def _one_colour_per_name(self) -> "Labels":
        if self.palette is not None and len(self.palette) != len(self.names):
            raise ValueError(f"{len(self.palette)} colours for {len(self.names)} names")
        return self
