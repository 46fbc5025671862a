"""From resized frames to a model file's raw input: the function is made once, and called for every frame."""

from typing import Any, Literal, Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import EngineError
from edge.port import DescribedPort
from edge.vision.lookup import table_lookup
from edge.vision.pixels import Geometry, Pixels, in_layout, normalize_table, quantize_table
from edge.vision.scratch import Scratch


class Encode(Protocol):
    """A file's raw input, (n, height, width, 3) or (n, 3, height, width), of pixels (n, height, width, 3)."""

    def __call__(self, pixels: Pixels, scratch: Scratch | None = None) -> NDArray[Any]:
        """A new array, or one of `scratch`; pixels that stay as they are may be the input themselves."""
        ...


def input_encoder(given: DescribedPort, preprocess: Geometry) -> Encode:
    """A function from resized frames, uint8 (n, height, width, 3), to a file's raw input: float or integer, its layout.

    The one road of every reader: Predictor, calibration, self-test, verification and the bench's stages. An integer
    input is one table look-up; one of uint8 without a scale takes the pixels as they are (`--io uint8`).

    Raises:
        EngineError: a quantized input of another type than int8, uint8 or int16.
    """
    if given.dtype == "uint8" and given.scale is None:
        return lambda pixels, scratch=None: in_layout(pixels, given.layout)
    table = _table(given, preprocess)
    look_up, dtype = table_lookup(table), table.dtype

    def encode(pixels: Pixels, scratch: Scratch | None = None) -> NDArray[Any]:
        room, (count, height, width, channels) = scratch or Scratch(), pixels.shape
        values = room.array("values", (count * height, width, channels), dtype)
        look_up(np.ascontiguousarray(pixels).reshape(values.shape), values, room)
        values = values.reshape(pixels.shape)
        if given.layout != "nchw":
            return values
        planes = room.array("planes", (count, channels, height, width), dtype)
        for image, own in zip(values, planes, strict=True):
            for channel, plane in enumerate(own):
                cv2.extractChannel(image, channel, dst=plane)
        return planes

    return encode


def _table(given: DescribedPort, preprocess: Geometry) -> NDArray[Any]:
    if given.scale is None or given.zero_point is None:
        return normalize_table(preprocess)
    dtype = given.dtype
    if dtype != "int8" and dtype != "uint8" and dtype != "int16":
        raise EngineError(f"input '{given.name}' is {dtype}; images go in as float32, int8, uint8 or int16")
    return quantize_table(preprocess, given.scale, given.zero_point, cast(Literal["int8", "uint8", "int16"], dtype))
