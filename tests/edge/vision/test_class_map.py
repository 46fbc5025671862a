"""Scores and class maps back at their place in the frame, or at the model's size."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge.errors import UsageError
from edge.port import DescribedPort
from edge.vision.class_map import class_map_from_scores, frame_class_map, model_class_map
from edge.vision.frame import Region
from edge.vision.pixels import placement, resize_mask
from edge.vision.preprocess import Preprocess
from edge.vision.scratch import Scratch


def made(fit: str, height: int = 64, width: int = 96) -> Preprocess:
    return Preprocess.model_validate(
        {
            "colour_order": "rgb",
            "height": height,
            "width": width,
            "interpolation": "bilinear",
            "fit": fit,
            "crop_fraction": 1.0,
            "mean": (0, 0, 0),
            "std": (1, 1, 1),
        }
    )


def info(meaning: str, *, scores: str = "exclusive", layout: str = "nc", **quantized: float) -> DescribedPort:
    told = {"meaning": meaning, "scores": scores, "layout": layout, **quantized}
    return DescribedPort(name="output", shape=(), dtype="float32", **told)  # type: ignore[arg-type]


def test_logits_are_enlarged_before_the_best_class_is_taken() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(8, 12, 5)).astype(np.float32)
    enlarged = np.stack([cv2.resize(logits[:, :, k], (96, 64), interpolation=cv2.INTER_LINEAR) for k in range(5)], 2)
    assert np.array_equal(class_map_from_scores(logits, (64, 96)), enlarged.argmax(axis=2))
    assert np.array_equal(class_map_from_scores(logits, (8, 12)), logits.argmax(axis=2))


def test_integer_logits_need_no_dequantization() -> None:
    logits = np.random.default_rng(1).integers(-128, 128, size=(8, 12, 5), dtype=np.int8)
    real = (logits.astype(np.float32) + 7) * np.float32(0.25)
    assert np.array_equal(class_map_from_scores(logits, (64, 96)), class_map_from_scores(real, (64, 96)))


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("frame_hw", [(64, 96), (128, 200), (300, 150), (50, 60)])
def test_map_goes_to_the_model_and_back(fit: str, frame_hw: tuple[int, int]) -> None:
    preprocess = made(fit)
    rows = np.arange(frame_hw[0])[:, None] * 3 // frame_hw[0]
    columns = np.arange(frame_hw[1])[None] * 2 // frame_hw[1]
    truth = (rows + 3 * columns).astype(np.uint8)
    mask = resize_mask(truth, preprocess, 255)[None]
    back = frame_class_map(mask, info("class_map", layout="nhw"), frame_hw, preprocess, outside=255)
    place = placement(frame_hw, preprocess)
    seen = np.zeros(frame_hw, dtype=bool)
    seen[place.top : place.top + place.height, place.left : place.left + place.width] = True
    assert (back[~seen] == 255).all()
    # What can differ lies at the borders of patches: at most two pixels per border, enlarged.
    assert np.mean(back[seen] != truth[seen]) < 0.05


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_logits_and_class_maps_land_at_the_same_place(fit: str, layout: str) -> None:
    preprocess, frame_hw = made(fit), (150, 260)
    rows = np.arange(frame_hw[0])[:, None] * 3 // frame_hw[0]
    truth = np.broadcast_to(rows + 3 * (np.arange(frame_hw[1])[None] // 130), frame_hw).astype(np.uint8)
    mask = resize_mask(truth, preprocess, 0)  # (64, 96)
    logits = np.eye(6, dtype=np.float32)[mask][None]  # (1, 64, 96, 6)
    given = logits if layout == "nhwc" else np.moveaxis(logits, -1, 1)
    from_logits = frame_class_map(given, info("logits", layout=layout), frame_hw, preprocess)
    from_map = frame_class_map(mask[None].astype(np.int32), info("class_map", layout="nhw"), frame_hw, preprocess)
    assert np.mean(from_logits != from_map) < 0.03
    seen = from_map != 255
    assert np.mean(from_logits[seen] != truth[seen]) < 0.03
    assert np.mean(from_map[seen] != truth[seen]) < 0.03


def test_small_class_map_is_enlarged_to_the_frame() -> None:
    small = np.random.default_rng(2).integers(0, 6, size=(1, 8, 12), dtype=np.int32)
    found = frame_class_map(small, info("class_map", layout="nhw"), (64, 96), made("stretch"))
    assert np.array_equal(found, np.kron(small[0], np.ones((8, 8))).astype(np.uint8))


def test_layout_that_is_no_segmentation_is_refused() -> None:
    with pytest.raises(UsageError, match="layout 'nhw'"):
        frame_class_map(np.zeros((1, 8, 12)), info("logits", layout="nhw"), (64, 96), made("stretch"))


# What an int8 Sigmoid gives (scale 1/256, zero point -128), its uint8 twin, and float: the same three probabilities.
YES_NO = (
    (np.int8, {"scale": 1 / 256, "zero_point": -128}, (-1, 0, 100)),
    (np.uint8, {"scale": 1 / 256, "zero_point": 0}, (127, 128, 228)),
    (np.float32, {}, (127 / 256, 0.5, 228 / 256)),
)


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize(("dtype", "quantized", "values"), YES_NO)
def test_a_mask_of_one_channel_is_on_from_one_half_on(
    dtype: type, quantized: dict[str, float], values: tuple[float, ...], fit: str
) -> None:
    cells = np.zeros((1, 64, 96, 1), dtype)
    cells[:] = values[0]
    cells[:, :, 32:64] = values[1]
    cells[:, :, 64:] = values[2]
    told = info("probabilities", scores="independent", layout="nhwc", **quantized)
    found = frame_class_map(cells, told, (64, 96), made(fit))
    assert (found[:, :32] == 0).all() and (found[:, 32:] == 1).all()
    planar = info("probabilities", scores="independent", layout="nchw", **quantized)
    for frame_hw in ((64, 96), (120, 160)):
        expected = frame_class_map(cells, told, frame_hw, made(fit))
        assert np.array_equal(frame_class_map(np.moveaxis(cells, -1, 1), planar, frame_hw, made(fit)), expected)


def random_cells(shape: tuple[int, ...], seed: int = 0) -> npt.NDArray[np.int8]:
    return np.random.default_rng(seed).integers(-128, 128, shape, dtype=np.int8)


def test_a_map_of_many_is_the_first_of_the_largest_whatever_was_there_before() -> None:
    """Scratch of other sizes and results in place change nothing."""
    scratch = Scratch()
    for seed, (h, w, classes, size) in enumerate([(8, 12, 5, (64, 96)), (9, 7, 3, (41, 77)), (8, 12, 5, (64, 96))]):
        cells = random_cells((h, w, classes), seed)
        planes = [cv2.resize(cells[:, :, k].astype(np.float32), size[::-1]) for k in range(classes)]
        expected = np.stack(planes).argmax(axis=0)
        larger = np.full((size[0] + 4, size[1] + 5), 9, np.uint8)
        found = class_map_from_scores(cells, size, out=larger[2:-2, 3:-2], scratch=scratch)
        np.testing.assert_array_equal(found, expected)
        assert np.shares_memory(found, larger) and (larger[:2] == 9).all() and (larger[:, :3] == 9).all()


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("meaning", ["logits", "class_map"])
def test_a_region_is_answered_at_its_place_as_if_it_were_the_frame(fit: str, meaning: str) -> None:
    told: Any = info(meaning, layout="nhw" if meaning == "class_map" else "nhwc")
    cells = random_cells((1, 8, 12, 5), 3)
    given = cells.argmax(axis=3) if meaning == "class_map" else cells
    region = Region(11, 5, 60, 80)
    found = frame_class_map(given, told, (100, 120), made(fit), region=region)
    alone = frame_class_map(given, told, (60, 80), made(fit))
    np.testing.assert_array_equal(found[11:71, 5:85], alone)
    outside = np.ones((100, 120), bool)
    outside[11:71, 5:85] = False
    assert (found[outside] == 255).all()


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("fit", ["stretch", "crop"])
def test_at_the_models_size_it_is_the_map_of_a_frame_of_that_size(fit: str, layout: str) -> None:
    cells = random_cells((1, 8, 12, 5), 4)
    told = info("logits", layout=layout)
    given = cells if layout == "nhwc" else np.moveaxis(cells, -1, 1)
    found = model_class_map(given, told, (150, 260), made(fit))
    np.testing.assert_array_equal(found, frame_class_map(given, told, (64, 96), made("stretch")))


def test_the_border_of_a_letterbox_is_no_class() -> None:
    preprocess = made("letterbox")
    whole = model_class_map(random_cells((1, 8, 12, 5), 4), info("logits", layout="nhwc"), (64, 96), preprocess)
    found = model_class_map(random_cells((1, 8, 12, 5), 4), info("logits", layout="nhwc"), (100, 100), preprocess)
    place = placement((100, 100), preprocess)
    np.testing.assert_array_equal(found[place.in_input], whole[place.in_input])
    assert np.count_nonzero(found == 255) == found.size - place.to_height * place.to_width > 0


def test_a_mask_is_on_from_the_probability_that_is_asked_for() -> None:
    cells = np.linspace(-4, 4, 96, dtype=np.float32)[None, None, :, None].repeat(64, axis=1)
    for meaning, values in (("logits", cells), ("probabilities", 1 / (1 + np.exp(-cells)))):
        told = info(meaning, scores="independent", layout="nhwc")
        found = frame_class_map(values, told, (64, 96), made("stretch"), probability=0.8)
        np.testing.assert_array_equal(found[0] == 1, 1 / (1 + np.exp(-cells[0, 0, :, 0])) >= 0.8)
