"""Nearest resizes of ONNX files take the pixels of ONNX Runtime and PyTorch, at the size that these compute."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional

from edge.errors import ModelFileError, UnsupportedError
from edge.execution.float_run import run_float
from edge.graph.graph import Graph
from edge.graph.importers.onnx.operators.resize import kernel_indices, nearest, onnx_form
from edge.graph.importers.onnx.reader import read_onnx
from tests.support.onnx_session import cpu_session

COORDINATES = ("asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric")
ROUNDINGS = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
SCALES = (0.3, 0.6, 0.7, 0.9, 1.15, 1.2, 1.4, 2.0, 2.2, 2.4, 8 / 7, 16 / 3)
SIZES = (1, 2, 5, 7, 10, 16, 29)


def resize_file(
    width: int,
    *,
    scale: float | None = None,
    size: int | None = None,
    declared: int | None = None,
    coordinates: str = "asymmetric",
    rounding: str = "floor",
    **attributes: Any,
) -> bytes:
    """A nearest Resize of (1, 1, 1, width) along its last axis."""
    inputs = ["x", "", "scales"] if scale is not None else ["x", "", "", "sizes"]
    values = np.array([1, 1, 1, scale], np.float32) if scale is not None else np.array([1, 1, 1, size], np.int64)
    node = helper.make_node(
        "Resize",
        inputs,
        ["y"],
        mode="nearest",
        coordinate_transformation_mode=coordinates,
        nearest_mode=rounding,
        **attributes,
    )
    output = None if declared is None else (1, 1, 1, declared)
    graph = helper.make_graph(
        [node],
        "resize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 1, 1, width))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(values, inputs[-1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    return model.SerializeToString()


def ours(data: bytes, width: int) -> list[int]:
    graph: Graph = read_onnx(data)
    return run_float(graph, [pixels(width)])["y"].ravel().astype(int).tolist()


def pixels(width: int) -> np.ndarray:
    return np.arange(width, dtype=np.float32).reshape(1, 1, 1, width)


def theirs(data: bytes, width: int) -> list[int]:
    session = cpu_session(data)
    return session.run(None, {"x": pixels(width)})[0].ravel().astype(int).tolist()


@pytest.mark.unhurried
@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_pixels_and_size_are_those_of_onnxruntime(coordinates: str, rounding: str) -> None:
    for width in (2, 5, 9, 10, 14, 20, 28):
        forms: list[dict[str, Any]] = [{"scale": scale} for scale in SCALES if width * scale > 1]
        for form in (*forms, *({"size": size} for size in SIZES)):
            data = resize_file(width, coordinates=coordinates, rounding=rounding, **form)
            assert ours(data, width) == theirs(data, width), (width, form)


@pytest.mark.parametrize("scale", [0.6, 0.7, 0.9, 1.2, 1.4, 2.0, 2.2])
def test_a_scale_gives_the_size_and_pixels_of_pytorch(scale: float) -> None:
    for width in (5, 6, 7, 10):
        given = torch.from_numpy(pixels(width))
        expected = functional.interpolate(given, scale_factor=(1.0, scale), mode="nearest").flatten().int().tolist()
        assert ours(resize_file(width, scale=scale, declared=len(expected)), width) == expected


def test_0_7_of_10_pixels_are_7_as_float32_multiplies() -> None:
    """In double the float32 0.7 makes 6 of them; the file says 7."""
    assert ours(resize_file(10, scale=0.7, declared=7), 10) == [0, 1, 2, 4, 5, 7, 8]


def test_a_size_that_the_file_declares_and_its_scale_does_not_make_is_refused_by_name() -> None:
    with pytest.raises(ModelFileError, match=r"output 'y' is declared \(1, 1, 1, 6\) .* make \(1, 1, 1, 7\)"):
        read_onnx(resize_file(10, scale=0.7, declared=6))


@pytest.mark.parametrize(("policy", "expected"), [("not_larger", 6), ("not_smaller", 12)])
def test_a_kept_aspect_ratio_decides_the_size(policy: str, expected: int) -> None:
    """Half of 12 pixels where the smaller ratio counts, all of them where the larger one does."""
    node = {"keep_aspect_ratio_policy": policy, "axes": [2, 3]}
    graph = helper.make_graph(
        [helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="nearest", **node)],
        "resize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 1, 4, 12))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([4, 6]), "sizes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    assert read_onnx(model.SerializeToString()).tensors["y"].shape[3] == expected


@pytest.mark.parametrize("coordinates", ["asymmetric", "half_pixel"])
def test_onnx_has_a_form_for_every_whole_factor_and_half_of_one(coordinates: str) -> None:
    for size, factor in itertools.product(range(1, 65), (2, 3, 4, 7, 8)):
        for before, after in ((size, size * factor), (size * factor, size), (2 * size, 3 * size), (3 * size, 2 * size)):
            rounding, (scale,) = onnx_form([before], [after], coordinates)
            found = nearest(before, after, scale, coordinates, rounding)
            np.testing.assert_array_equal(found, kernel_indices(before, after, coordinates))


def test_a_size_without_a_form_in_onnx_is_refused() -> None:
    """Where the kernel's float32 product falls below a whole number for some pixels only."""
    with pytest.raises(UnsupportedError, match=r"from \[14\] to \[8\]; resize by a whole factor"):
        onnx_form([14], [8], "asymmetric")
