"""Resize -> RESIZE_BILINEAR or RESIZE_NEAREST_NEIGHBOR."""

import numpy as np

from converters.tflite.file_builder import FileBuilder
from converters.tflite.parameters import int8_version, require_same_parameters
from edge.errors import UnsupportedError
from edge.graph.graph import Operator

CODES = {
    "linear": ("RESIZE_BILINEAR", "ResizeBilinearOptions"),
    "nearest": ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions"),
}
COORDINATES = ("half_pixel", "asymmetric", "align_corners")
COORDINATES_VERSION = 3


def write_resize(builder: FileBuilder, operator: Operator) -> None:
    """Write a resize to a fixed size. Refuses (UnsupportedError) a mode or coordinate rule outside the tables here."""
    mode, coordinates = operator.attributes["mode"], operator.attributes["coordinates"]
    if mode not in CODES or coordinates not in COORDINATES:
        raise UnsupportedError(
            f"Resize '{operator.name}': mode {mode} with {coordinates} coordinates; TFLite knows "
            f"{' and '.join(CODES)} with {', '.join(COORDINATES)}"
        )
    require_same_parameters(builder.graph, operator)
    code, options = CODES[mode]
    size = builder.constant(operator, "size", np.array(operator.attributes["size_hw"], np.int32))
    version = int8_version(builder.graph, operator, int8=2)
    if coordinates == "half_pixel" or (coordinates == "align_corners" and mode == "nearest"):
        version = COORDINATES_VERSION
    builder.operator(
        code,
        [builder.tensor(operator.inputs[0]), size],
        [builder.tensor(operator.outputs[0])],
        version=version,
        options=options,
        alignCorners=coordinates == "align_corners",
        halfPixelCenters=coordinates == "half_pixel",
    )
