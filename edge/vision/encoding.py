"""From resized frames to a model file's raw input: the function is made once, and called for every frame."""

from collections.abc import Callable
from typing import Any, Literal, cast

from numpy.typing import NDArray

from edge.errors import EngineError
from edge.port import DescribedPort
from edge.vision.pixels import Geometry, Pixels, apply_table, in_layout, normalize, quantize_table

Encode = Callable[[Pixels], NDArray[Any]]


def input_encoder(given: DescribedPort, preprocess: Geometry) -> Encode:
    """A function from resized frames, uint8 (n, height, width, 3), to a file's raw input: float or integer, its layout.

    The one road of every reader: Predictor, calibration, self-test, verification and the bench's stages. An integer
    input is one table look-up; one of uint8 without a scale takes the pixels as they are (`--io uint8`).

    Raises:
        EngineError: a quantized input of another type than int8, uint8 or int16.
    """
    if given.dtype == "uint8" and given.scale is None:
        return lambda pixels: in_layout(pixels, given.layout)
    if given.scale is None or given.zero_point is None:
        return lambda pixels: in_layout(normalize(pixels, preprocess), given.layout)
    dtype = given.dtype
    if dtype != "int8" and dtype != "uint8" and dtype != "int16":
        raise EngineError(f"input '{given.name}' is {dtype}; images go in as float32, int8, uint8 or int16")
    table = quantize_table(preprocess, given.scale, given.zero_point, cast(Literal["int8", "uint8", "int16"], dtype))
    return lambda pixels: in_layout(apply_table(pixels, table), given.layout)
