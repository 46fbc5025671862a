"""From resized frames to a model file's raw input: the function is made once, and called for every frame."""

from collections.abc import Callable
from typing import Any, Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import EngineError
from edge.port import DescribedPort
from edge.vision.lookup import table_lookup
from edge.vision.pixels import Geometry, Pixels, in_layout, normalize_table, quantize_table

Encode = Callable[[Pixels], NDArray[Any]]


def input_encoder(given: DescribedPort, preprocess: Geometry) -> Encode:
    """A function from resized frames, uint8 (n, height, width, 3), to a file's raw input: float or integer, its layout.

    The one road of every reader: Predictor, calibration, self-test, verification and the bench's stages. An integer
    input is one table look-up; one of uint8 without a scale takes the pixels as they are (`--io uint8`).

    Raises:
        EngineError: a quantized input of another type than int8, uint8 or int16.
    """
    table = _table(given, preprocess)
    if table is None:
        return lambda pixels: in_layout(pixels, given.layout)
    return lambda pixels: _encoding(given, table, np.ascontiguousarray(pixels), in_place=False)()


def encoding_of(
    given: DescribedPort, preprocess: Geometry, pixels: Pixels, *, in_place: bool
) -> Callable[[], NDArray[Any]]:
    """The same for one array whose content changes: each call gives the raw input of what lies in it.

    Args:
        pixels: uint8 (n, height, width, 3), without gaps in memory.
        in_place: values of 8 bits may take the pixels' place: all of them are written anew before the next call.

    Returns:
        A function to the raw input: always the same array, which may lie where the pixels do.
    """
    table = _table(given, preprocess)
    return (
        (lambda: in_layout(pixels, given.layout))
        if table is None
        else _encoding(given, table, pixels, in_place=in_place)
    )


def _encoding(
    given: DescribedPort, table: NDArray[Any], pixels: Pixels, *, in_place: bool
) -> Callable[[], NDArray[Any]]:
    count, height, width, channels = pixels.shape
    rows = pixels.reshape(count * height, width, channels)
    taken = in_place and table.dtype.itemsize == 1
    values: NDArray[Any] = rows.view(table.dtype) if taken else np.empty(rows.shape, table.dtype)
    look_up, shaped = table_lookup(table, rows, values), values.reshape(pixels.shape)
    if given.layout != "nchw":

        def encode() -> NDArray[Any]:
            look_up()
            return shaped

        return encode
    planes = np.empty((count, channels, height, width), table.dtype)
    moves = [(shaped[k], channel, planes[k, channel]) for k in range(count) for channel in range(channels)]

    def encode_planes() -> NDArray[Any]:
        look_up()
        for image, channel, plane in moves:
            cv2.extractChannel(image, channel, plane)
        return planes

    return encode_planes


def _table(given: DescribedPort, preprocess: Geometry) -> NDArray[Any] | None:
    """(3, 256) values of pixels; None: they go in as they are."""
    if given.dtype == "uint8" and given.scale is None:
        return None
    if given.scale is None or given.zero_point is None:
        return normalize_table(preprocess)
    dtype = given.dtype
    if dtype != "int8" and dtype != "uint8" and dtype != "int16":
        raise EngineError(f"input '{given.name}' is {dtype}; images go in as float32, int8, uint8 or int16")
    return quantize_table(preprocess, given.scale, given.zero_point, cast(Literal["int8", "uint8", "int16"], dtype))
