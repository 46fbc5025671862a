"""A frame of any format at the model's size: the integers of its RGB picture, and no more memory than that."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest

from edge.vision.frame import PIXEL_FORMATS, Frame, PixelFormat, Region
from edge.vision.pixels import Geometry, fitting, resize
from edge.vision.scratch import Scratch
from tests.support.frames import made_frame


def geometry(**changes: Any) -> Geometry:
    fields: dict[str, Any] = {
        "colour_order": "rgb",
        "height": 24,
        "width": 40,
        "interpolation": "bilinear",
        "fit": "stretch",
        "crop_fraction": 1.0,
        "mean": (124.0, 116.0, 104.0),
        "std": (58.0, 57.0, 57.0),
    }
    return Geometry(**{**fields, **changes})


@pytest.mark.parametrize("layout", PIXEL_FORMATS)
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "area"])
def test_every_format_gives_the_integers_of_its_rgb_picture(
    layout: PixelFormat, interpolation: Literal["bilinear", "nearest", "area"]
) -> None:
    """Enlarged, made smaller by whole and by broken factors, and as it is; whole, cropped, with a border, in part."""
    scratch = Scratch()
    for height, width in ((24, 40), (48, 80), (96, 120), (70, 122), (18, 30)):
        frame = made_frame(layout, (height, width), seed=height)
        rgb = frame.rgb()
        regions = (frame.whole, Region(3, 5, height - 7, width - 6), Region(2, 1, height // 2, width // 3))
        for fit, fraction in (("stretch", 1.0), ("crop", 0.875), ("letterbox", 1.0)):
            for order in ("rgb", "bgr"):
                given = geometry(colour_order=order, interpolation=interpolation, fit=fit, crop_fraction=fraction)
                for top, left, rows, columns in regions:
                    part = np.ascontiguousarray(rgb[top : top + rows, left : left + columns])
                    found = fitting(layout, Region(top, left, rows, columns), given, scratch)(frame.image)
                    np.testing.assert_array_equal(found, resize(part, given))


@pytest.mark.parametrize("layout", PIXEL_FORMATS)
def test_padding_is_not_seen(layout: PixelFormat) -> None:
    frame = made_frame(layout, (48, 80), seed=1)
    inside = Frame(image=frame.image, format=layout, size_hw=(41, 77))
    found = fitting(layout, inside.whole, geometry(), Scratch())(inside.image)
    np.testing.assert_array_equal(found, resize(np.ascontiguousarray(frame.rgb()[:41, :77]), geometry()))


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_the_next_frame_takes_the_place_of_the_one_before(fit: str) -> None:
    given = geometry(fit=fit)
    first, second = (made_frame("yuyv", (48, 50), seed=seed) for seed in (1, 2))
    fitted = fitting("yuyv", first.whole, given, Scratch())
    for frame in (first, second, first):
        np.testing.assert_array_equal(fitted(frame.image), resize(np.ascontiguousarray(frame.rgb()), given))
    assert fitted(first.image) is fitted(second.image)


def test_resize_gives_an_array_of_its_own() -> None:
    image: npt.NDArray[np.uint8] = np.zeros((48, 80, 3), np.uint8)
    assert not np.shares_memory(resize(image, geometry()), resize(image, geometry()))
