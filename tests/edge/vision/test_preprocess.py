"""Preprocessing: the table is normalize-then-quantize, geometry is the reference's, nothing is defaulted."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.errors import UsageError
from edge.vision.pixels import apply_table, normalize, placement, quantize_table, resize, resize_mask
from edge.vision.preprocess import Preprocess
from tests.support.examples import examples

FIELDS = {
    "colour_order": "rgb",
    "height": 224,
    "width": 224,
    "interpolation": "bilinear",
    "fit": "crop",
    "crop_fraction": 0.875,
    "mean": (127.5, 127.5, 127.5),
    "std": (127.5, 127.5, 127.5),
}
FRAME = cv2.resize(np.random.default_rng(0).integers(0, 256, size=(12, 16, 3), dtype=np.uint8), (427, 320))


def made(**changes: object) -> Preprocess:
    return Preprocess.model_validate({**FIELDS, **changes})


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_no_field_has_a_default(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        Preprocess.model_validate({key: value for key, value in FIELDS.items() if key != field})


@pytest.mark.parametrize(
    "changes",
    [
        {"std": (1.0, 0.0, 1.0)},
        {"mean": (float("nan"), 0.0, 0.0)},
        {"height": 0},
        {"crop_fraction": 1.5},
        {"fit": "stretch"},
        {"fit": "letterbox"},
        {"colour_order": "RGB"},
        {"sizes": 3},
    ],
)
def test_values_that_cannot_hold_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        made(**changes)


@given(
    st.floats(1e-4, 1.0),
    st.integers(-128, 127),
    st.tuples(*[st.floats(1, 255)] * 3),
    st.tuples(*[st.floats(1, 255)] * 3),
    st.sampled_from(["int8", "uint8"]),
)
@examples(60)
def test_table_equals_normalize_then_quantize(
    scale: float, zero_point: int, mean: tuple[float, ...], std: tuple[float, ...], dtype: str
) -> None:
    preprocess = made(mean=mean, std=std)
    zero_point += 128 if dtype == "uint8" else 0
    table = quantize_table(preprocess, scale, zero_point, dtype)
    pixels = np.stack([np.arange(256, dtype=np.uint8)] * 3, axis=1)[None]  # (1, 256, 3)
    real = (pixels.astype(np.float32) - np.float32(mean)) / np.float32(std)
    assert np.array_equal(normalize(pixels, preprocess), real)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    expected = np.clip(np.rint(real / np.float32(scale)) + np.float32(zero_point), low, high).astype(dtype)
    assert table.dtype == np.dtype(dtype)
    assert np.array_equal(apply_table(pixels, table), expected)


def test_a_look_up_equals_the_normalized_frame_quantized() -> None:
    preprocess = made(height=50, width=70, mean=(123.7, 116.3, 103.5), std=(58.4, 57.1, 57.4))
    table = quantize_table(preprocess, 0.0186, -14, "int8")
    expected = np.clip(
        np.rint(normalize(resize(FRAME, preprocess)[None], preprocess) / np.float32(0.0186)) - 14, -128, 127
    )
    found = apply_table(resize(FRAME, preprocess)[None], table)
    assert (found.shape, found.dtype) == ((1, 50, 70, 3), np.int8)
    assert np.array_equal(found, expected.astype(np.int8))


def test_uint8_pixels_of_official_models_pass_unchanged() -> None:
    # [-1, 1] at scale 1/127.5, zero point 127.5 rounded: the official uint8 models take pixels as they are.
    preprocess = made(mean=(0, 0, 0), std=(1, 1, 1))
    assert np.array_equal(quantize_table(preprocess, 1.0, 0, "uint8"), np.tile(np.arange(256), (3, 1)))
    assert np.array_equal(quantize_table(preprocess, 1.0, -128, "int8"), np.tile(np.arange(256) - 128, (3, 1)))


def test_table_applies_to_stacks_as_to_single_images() -> None:
    stack = np.random.default_rng(1).integers(0, 256, size=(3, 5, 7, 3), dtype=np.uint8)
    table = quantize_table(made(), 0.01, 3, "int8")
    assert np.array_equal(apply_table(stack, table), np.stack([apply_table(image, table) for image in stack]))


def test_reference_crop_is_the_centre_square_of_280_in_320() -> None:
    place = placement(FRAME.shape[:2], made())
    assert (place.top, place.left, place.height, place.width) == (20, 73, 280, 280)
    expected = cv2.resize(FRAME[20:300, 73:353], (224, 224), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(resize(FRAME, made()), expected)


@given(st.integers(1, 500), st.integers(1, 500))
def test_crop_side_is_rounded_share_of_the_short_side(height: int, width: int) -> None:
    place = placement((height, width), made())
    side = max(1, round(0.875 * min(height, width)))
    assert (place.height, place.width) == (side, side)
    assert place.top == (height - side) // 2
    assert place.left == (width - side) // 2


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from(["stretch", "crop", "letterbox"]))
@examples(60)
def test_every_fit_gives_the_models_size(height: int, width: int, fit: str) -> None:
    preprocess = made(fit=fit, height=31, width=45, crop_fraction=1.0)
    place = placement((height, width), preprocess)
    assert 0 <= place.top <= place.top + place.height <= height
    assert 0 <= place.left <= place.left + place.width <= width
    assert 0 <= place.to_top <= place.to_top + place.to_height <= 31
    assert 0 <= place.to_left <= place.to_left + place.to_width <= 45
    assert resize(np.zeros((height, width, 3), dtype=np.uint8), preprocess).shape == (31, 45, 3)


def test_letterbox_keeps_the_aspect_and_fills_with_the_mean() -> None:
    preprocess = made(fit="letterbox", crop_fraction=1.0, height=100, width=100, mean=(10.4, 20.0, 30.6))
    white = np.full((50, 100, 3), 255, dtype=np.uint8)
    resized = resize(white, preprocess)
    assert (resized[25:75] == 255).all()
    assert (resized[:25] == (10, 20, 31)).all()
    assert (resized[75:] == (10, 20, 31)).all()


def test_bgr_swaps_the_channels() -> None:
    assert np.array_equal(resize(FRAME, made(colour_order="bgr")), resize(FRAME, made())[:, :, ::-1])


def test_frame_of_the_models_size_is_copied_unchanged() -> None:
    preprocess = made(fit="stretch", crop_fraction=1.0, height=320, width=427)
    resized = resize(FRAME, preprocess)
    assert np.array_equal(resized, FRAME)
    assert not np.shares_memory(resized, FRAME)


def test_mask_lands_where_its_image_lands() -> None:
    patches = np.random.default_rng(5).integers(0, 6, size=(4, 5), dtype=np.uint8)
    mask = np.kron(patches, np.ones((40, 40), dtype=np.uint8))
    image = np.repeat(mask[:, :, None] * 40, 3, axis=2)
    for fit in ("stretch", "crop", "letterbox"):
        preprocess = made(fit=fit, crop_fraction=1.0, height=96, width=128, interpolation="nearest", mean=(0, 0, 0))
        landed = resize_mask(mask, preprocess, ignore_index=255)
        assert np.array_equal(np.where(landed == 255, 0, landed * 40), resize(image, preprocess)[:, :, 0])


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        (FRAME[:, :, 0], r"uint8 \(\d+, \d+\)"),
        (FRAME[:, :, :1], r"uint8 \(\d+, \d+, 1\)"),
        (FRAME.astype(np.float32), "float32"),
        (FRAME[:0], r"uint8 \(0, \d+, 3\)"),
        (np.zeros((4, 4, 4), np.uint8), r"uint8 \(4, 4, 4\)"),
        (None, "None, which OpenCV gives in place of a picture that it cannot read"),
        ([[[1, 2, 3]]], "list"),
        ("frame.png", "str"),
        (b"\xff\xd8", "bytes"),
    ],
)
def test_what_is_no_frame_is_refused_with_what_frames_are(frame: object, found: str) -> None:
    told = rf"^a frame in rgb must be an array of uint8 \(h, w, 3\), found {found}"
    with pytest.raises(UsageError, match=told):
        resize(frame, made())  # type: ignore[arg-type]


def test_scale_that_is_not_positive_is_refused() -> None:
    with pytest.raises(UsageError, match="scale must be positive"):
        quantize_table(made(), 0.0, 0, "int8")


def test_manifest_form_round_trips() -> None:
    preprocess = made()
    assert Preprocess.model_validate_json(preprocess.model_dump_json()) == preprocess


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), r"\[123.675, 116.28, 103.53\], std = \[58.395, 57.12, 57.375\]"),
        ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), r"mean = \[127.5, 127.5, 127.5\], std = \[127.5, 127.5, 127.5\]"),
        ((0.0, 0.0, 0.0), (0.5, 0.5, 0.5), r"probably meant: mean = \[0, 0, 0\], std = \[127.5, 127.5, 127.5\]"),
        ((0.485, 0.456, 0.406), (58.395, 57.12, 57.375), r"mean = \[123.675, 116.28, 103.53\], std = \[58.395"),
        ((127.5, 127.5, 127.5), (127.5, 127.5, 0.5), r"std = \[127.5, 127.5, 0.5\] cannot be that of pixels"),
        ((103.94, 116.78, 123.68), (0.017, 0.017, 0.017), r"or \[58.8235, 58.8235, 58.8235\] \(it was a factor\)"),
        ((1e308, 0.0, 0.0), (1.0, 1.0, 1.0), "pixels are 0..255"),
    ],
)
def test_values_of_another_scale_are_refused_with_those_that_were_meant(
    mean: tuple[float, float, float], std: tuple[float, float, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        made(mean=mean, std=std)


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
        ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
        ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0)),
        ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
        ((104.0, 117.0, 123.0), (1.0, 1.0, 1.0)),
        ((-255.0, -255.0, -255.0), (255.0, 255.0, 255.0)),
    ],
)
def test_values_that_can_be_those_of_pixels_pass(
    mean: tuple[float, float, float], std: tuple[float, float, float]
) -> None:
    assert made(mean=mean, std=std).mean == mean
