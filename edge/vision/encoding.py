"""From a resized frame to a model file's raw input: the function is made once, and called for every frame."""

from collections.abc import Callable
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.vision.pixels import Geometry, Pixels, apply_table, normalize, quantize_table

Encode = Callable[[Pixels], NDArray[Any]]


class InputFacts(Protocol):
    """What is read of an input of a model file (`edge.artifact.manifest.TensorInfo`)."""

    @property
    def name(self) -> str:
        """Of the input."""
        ...

    @property
    def dtype(self) -> str:
        """By numpy's name."""
        ...

    @property
    def layout(self) -> str:
        """`nhwc` or `nchw`."""
        ...

    @property
    def scale(self) -> float | None:
        """None for a float input, and for one that takes the pixels."""
        ...

    @property
    def zero_point(self) -> int | None:
        """None without a scale."""
        ...


def takes_pixels(given: InputFacts) -> bool:
    """Whether an input takes the resized pixels as they are: the model looks them up itself (`--io uint8`)."""
    return given.dtype == "uint8" and given.scale is None


def frame_encoder(given: InputFacts, preprocess: Geometry) -> Encode:
    """A function from a resized frame, uint8 (height, width, 3), to the raw input with its batch axis.

    An integer input is one table look-up; the same arithmetic as `edge.predictor.selftest.model_input`.

    Raises:
        UsageError: an input of another type than float32, int8, uint8 or int16.
    """
    axes = (0, 3, 1, 2) if given.layout == "nchw" else (0, 1, 2, 3)
    if takes_pixels(given):
        return lambda pixels: np.ascontiguousarray(pixels[None].transpose(axes))
    if given.scale is None or given.zero_point is None:
        return lambda pixels: np.ascontiguousarray(normalize(pixels[None], preprocess).transpose(axes))
    dtype = given.dtype
    if dtype != "int8" and dtype != "uint8" and dtype != "int16":
        raise UsageError(f"input '{given.name}' is {dtype}; frames go in as float32, int8, uint8 or int16")
    table = quantize_table(preprocess, given.scale, given.zero_point, cast(Literal["int8", "uint8", "int16"], dtype))
    return lambda pixels: np.ascontiguousarray(apply_table(pixels[None], table).transpose(axes))
