"""Outputs become answers: scores by their order, class maps back at their place in the frame."""

import cv2
import numpy as np
import pytest

from edge.errors import UsageError
from edge.port import DescribedPort
from edge.vision.pixels import placement, resize_mask
from edge.vision.postprocess import (
    class_map_from_scores,
    class_scores,
    frame_class_map,
    ranked_values,
    restore_map,
    softmax,
)
from edge.vision.preprocess import Preprocess

NAMES = ("a", "b", "c", "d")


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


def test_softmax_of_equal_logits_is_uniform_and_large_logits_do_not_overflow() -> None:
    assert np.allclose(softmax(np.zeros(4, dtype=np.float32)), 0.25)
    assert np.allclose(softmax(np.array([1e4, 1e4, 0], dtype=np.float32)), [0.5, 0.5, 0])


def test_integer_logits_are_dequantized_then_softmaxed() -> None:
    raw = np.array([[-128, 20, 10, -128]], dtype=np.int8)
    found = class_scores(raw, info("logits", scale=0.1, zero_point=3), NAMES, top=2)
    assert (found.indices, found.names) == ((1, 2), ("b", "c"))
    assert found.probabilities[0] / found.probabilities[1] == pytest.approx(np.e, rel=1e-5)


def test_probabilities_are_kept_and_ties_go_to_the_lower_index() -> None:
    found = class_scores(
        np.array([128, 0, 128, 0], dtype=np.uint8), info("probabilities", scale=1 / 256, zero_point=0), NAMES
    )
    assert found.indices == (0, 2, 1, 3)
    assert found.probabilities == (0.5, 0.5, 0.0, 0.0)


def test_number_of_names_must_fit() -> None:
    with pytest.raises(UsageError, match="5 scores and there are 4 class names"):
        class_scores(np.zeros(5), info("logits"), NAMES)


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
    back = restore_map(resize_mask(truth, preprocess, 255), frame_hw, preprocess, outside=255)
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
    with pytest.raises(UsageError, match="does not fit 64x96"):
        restore_map(np.zeros((8, 12), dtype=np.uint8), (64, 96), made("stretch"))


# What an int8 Sigmoid gives (scale 1/256, zero point -128), its uint8 twin, and float: the same three probabilities.
YES_NO = (
    (np.int8, {"scale": 1 / 256, "zero_point": -128}, (-1, 0, 100)),
    (np.uint8, {"scale": 1 / 256, "zero_point": 0}, (127, 128, 228)),
    (np.float32, {}, (127 / 256, 0.5, 228 / 256)),
)


@pytest.mark.parametrize(("dtype", "quantized", "values"), YES_NO)
def test_one_score_is_yes_from_a_probability_of_one_half_on(
    dtype: type, quantized: dict[str, float], values: tuple[float, ...]
) -> None:
    told = info("probabilities", scores="independent", **quantized)
    found = [class_scores(np.array([[value]], dtype), told, ("no", "yes")) for value in values]
    assert [one.names[0] for one in found] == ["no", "yes", "yes"]
    assert [one.probabilities[one.names.index("yes")] for one in found] == [127 / 256, 0.5, 228 / 256]
    assert [int(ranked_values(np.array([[value]], dtype), told).argmax()) for value in values] == [0, 1, 1]


def test_one_logit_is_yes_from_zero_on() -> None:
    told = info("logits", scores="independent", scale=0.125, zero_point=7)
    found = [class_scores(np.array([[value]], np.int8), told, ("no", "yes")) for value in (6, 7, 127)]
    assert [one.names[0] for one in found] == ["no", "yes", "yes"]
    assert found[1].probabilities == (0.5, 0.5)
    assert found[2].probabilities[0] == pytest.approx(1 / (1 + np.exp(-15)))


@pytest.mark.parametrize("meaning", ["logits", "probabilities"])
def test_independent_labels_hold_one_by_one(meaning: str) -> None:
    at_half = 0.0 if meaning == "logits" else 0.5
    told = info(meaning, scores="independent")
    raw = np.array([[at_half, np.nextafter(np.float32(at_half), np.float32(-1)), 0.9, 0.7]], np.float32)
    found = class_scores(raw, told, NAMES, top=1)
    assert (found.names, found.decided) == (("c", "d", "a"), 3)  # more than asked for: all that hold
    assert found.probabilities[2] == 0.5
    assert (ranked_values(raw, told) >= 0).tolist() == [True, False, True, True]
    none = class_scores(raw - 2, told, NAMES, top=1)
    assert (none.names, none.decided) == (("c",), 0)


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
