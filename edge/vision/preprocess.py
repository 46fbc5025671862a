"""The fields of preprocessing as a recipe, a card and a manifest state them, each value checked.

The arithmetic stands in `edge.vision.pixels`, which travels to devices without pydantic.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge.strict import Strict
from edge.vision.pixel_scale import pixel_scale_problem
from edge.vision.pixels import Geometry

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Size = Annotated[int, Field(ge=1, le=16384)]


class Preprocess(Strict, Geometry):  # type: ignore[misc]  # Strict freezes it, by settings that mypy does not read
    """How an RGB frame becomes a model's input. There are no defaults: a forgotten field is an error.

    Attributes:
        colour_order: the order of the model's input channels; frames are always given as RGB.
        height, width: the model's input size in pixels.
        interpolation: `bilinear` (half-pixel centres, no antialiasing), `nearest` or `area` (box average).
        fit: `stretch` (the whole frame, its aspect lost), `crop` (the largest centred window of the model's aspect,
            times `crop_fraction`), or `letterbox` (the whole frame, centred, the rest filled with `mean`).
        crop_fraction: in (0, 1]; must be 1 unless `fit` is `crop`.
        mean, std: per input channel, in pixel units 0..255: the model's input is (pixel - mean) / std. What can only
            be meant on a scale of 0..1 is refused, see `edge.vision.pixel_scale`.
    """

    colour_order: Literal["rgb", "bgr"]
    height: Size
    width: Size
    interpolation: Literal["bilinear", "nearest", "area"]
    fit: Literal["stretch", "crop", "letterbox"]
    crop_fraction: Annotated[float, Field(gt=0, le=1)]
    mean: tuple[Finite, Finite, Finite]
    std: tuple[Positive, Positive, Positive]

    @model_validator(mode="after")
    def _crop_fraction_fits(self) -> "Preprocess":
        if self.fit != "crop" and self.crop_fraction != 1.0:
            raise ValueError(
                f"crop_fraction is {self.crop_fraction}, and fit '{self.fit}' takes the whole frame: set 1"
            )
        return self

    @model_validator(mode="after")
    def _on_the_scale_of_pixels(self) -> "Preprocess":
        if problem := pixel_scale_problem(self.mean, self.std):
            raise ValueError(problem)
        return self
