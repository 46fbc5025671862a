"""Boundary AP of COCO files: equal to faster-coco-eval's, and its closed cases; masks as COCO draws them."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import DataError, UsageError
from edge.evaluation.boundary_precision import boundary_average_precision
from edge.evaluation.coco_masks import coco_mask

KEYS = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")

pytestmark = pytest.mark.extra  # faster-coco-eval


def theirs(truth: Path, results: Path, ratio: float) -> list[float]:
    """What faster-coco-eval says for KEYS."""
    from faster_coco_eval import COCO, COCOeval_faster

    objects = COCO(truth)
    found = COCOeval_faster(objects, objects.loadRes(results), "boundary", boundary_dilation_ratio=ratio)
    found.run()
    return [math.nan if value < 0 else float(value) for value in found.stats[:6]]


def runs(mask: np.ndarray) -> dict[str, Any]:
    """Uncompressed run lengths."""
    flat = mask.T.ravel().astype(np.int8)
    changes = np.flatnonzero(np.diff(np.concatenate([[0], flat]))).tolist()
    return {"counts": np.diff([0, *changes, flat.size]).tolist(), "size": list(mask.shape)}


def compressed(counts: list[int]) -> str:
    """As pycocotools writes run lengths."""
    text = ""
    for place, count in enumerate(counts):
        value, more = count - counts[place - 2] if place > 2 else count, True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(bits + (32 if more else 0) + 48)
    return text


def star(rng: np.random.Generator, centre: np.ndarray, radius: float) -> list[float]:
    """A ragged polygon."""
    angles = np.sort(rng.random(12)) * 2 * np.pi
    lengths = radius * (0.5 + rng.random(12))
    points = centre + np.stack([lengths * np.cos(angles), lengths * np.sin(angles)], axis=1)
    return [round(float(value), 2) for value in points.ravel()]


def scenes(folder: Path, seed: int) -> tuple[Path, Path]:
    """Objects as polygons and crowds as run lengths; results as ragged copies, twins, shifted and false ones."""
    rng = np.random.default_rng(seed)
    images, annotations, results = [], [], []
    for image in range(1, 13):
        height, width = (int(value) for value in rng.integers(90, 260, 2))
        images.append({"id": image, "height": height, "width": width, "file_name": f"{image}.jpg"})
        for _ in range(int(rng.integers(0, 8))):
            centre, radius = rng.random(2) * (width, height), float(rng.choice([6, 18, 60]))
            polygon = star(rng, centre, radius)
            mask = coco_mask([polygon], (height, width))
            crowd = bool(rng.random() < 0.15)
            category = int(rng.integers(1, 4))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": category,
                    "segmentation": runs(mask) if crowd else [polygon],
                    "area": float(mask.sum()),
                    "bbox": [0, 0, 1, 1],
                    "iscrowd": int(crowd),
                }
            )
            for _ in range(int(rng.integers(0, 3))):
                moved = np.roll(mask, rng.integers(-2, 3, 2), axis=(0, 1))
                if rng.random() < 0.2:
                    moved = coco_mask([star(rng, centre, radius)], (height, width))
                if moved.any():
                    told = runs(moved)
                    told["counts"] = compressed(told["counts"])
                    score = round(float(rng.random()), 2)  # equal scores happen
                    results.append({"image_id": image, "category_id": category, "segmentation": told, "score": score})
    truth, found = folder / "truth.json", folder / "results.json"
    categories = [{"id": index, "name": str(index)} for index in (1, 2, 3, 4)]
    truth.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    found.write_text(json.dumps(results))
    return truth, found


@pytest.mark.parametrize(("seed", "ratio"), [(0, 0.02), (1, 0.02), (2, 0.02), (3, 0.005)])
def test_boundary_ap_equals_faster_coco_eval(tmp_path: Path, seed: int, ratio: float) -> None:
    truth, results = scenes(tmp_path, seed)
    ours = boundary_average_precision(truth, results, ratio)
    assert 0.01 < ours["ap"] < ours["ap50"] < 0.95
    assert [ours[key] for key in KEYS] == pytest.approx(theirs(truth, results, ratio), nan_ok=True)


def test_polygons_are_drawn_as_faster_coco_eval_draws_them() -> None:
    """0 pixels differ, of polygons inside, across the image's edge and beyond it."""
    from faster_coco_eval.core import mask

    rng = np.random.default_rng(0)
    for _ in range(150):
        height, width = (int(value) for value in rng.integers(5, 60, 2))
        centre = rng.random(2) * (width, height) * 1.4 - (width * 0.2, height * 0.2)
        polygons = [star(rng, centre, float(rng.choice([2, 8, 30])))]
        drawn = mask.decode(mask.segmToRle(polygons, width, height))
        assert np.array_equal(coco_mask(polygons, (height, width)), drawn)


def test_run_lengths_come_back_compressed_or_not() -> None:
    mask = np.random.default_rng(0).random((37, 51)) > 0.6
    told = runs(mask)
    assert np.array_equal(coco_mask(told, mask.shape), mask)
    assert np.array_equal(coco_mask({**told, "counts": compressed(told["counts"])}, mask.shape), mask)


def files(folder: Path, mask: np.ndarray, said: np.ndarray) -> tuple[Path, Path]:
    """One object and one detection."""
    one = {"image_id": 7, "category_id": 1}
    image = {"id": 7, "height": mask.shape[0], "width": mask.shape[1]}
    found = {**one, "segmentation": runs(mask), "area": int(mask.sum()), "iscrowd": 0, "id": 1}
    (folder / "t.json").write_text(json.dumps({"images": [image], "annotations": [found], "categories": [{"id": 1}]}))
    (folder / "r.json").write_text(json.dumps([{**one, "segmentation": runs(said), "score": 0.5}]))
    return folder / "t.json", folder / "r.json"


def test_a_large_thing_with_a_wrong_edge_is_found_by_its_area_and_not_by_its_edge(tmp_path: Path) -> None:
    """Mask IoU (176/184) squared = 0.915; bands of d = 6 that are 4 apart share little."""
    truth, said = np.zeros((2, 200, 200), bool)
    truth[12:188, 12:188] = True
    said[8:192, 8:192] = True
    ours = boundary_average_precision(*files(tmp_path, truth, said), 0.02)
    assert (ours["ap"], ours["ap50"]) == (0.0, 0.0) and math.isnan(ours["ap_small"])
    assert boundary_average_precision(*files(tmp_path, truth, truth), 0.02)["ap"] == pytest.approx(1.0)


def test_what_lies_in_a_crowd_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    """A false detection with the best score halves the precision, unless it lies in a crowd; areas choose objects."""
    masks = np.zeros((3, 120, 120), bool)
    masks[0, 10:30, 10:30] = masks[1, 40:110, 40:110] = masks[2, 60:90, 60:90] = True
    image = {"id": 1, "height": 120, "width": 120}
    told = [{"image_id": 1, "category_id": 1, "segmentation": runs(mask)} for mask in masks]
    truth, results = tmp_path / "t.json", tmp_path / "r.json"
    results.write_text(json.dumps([{**told[0], "score": 0.2}, {**told[2], "score": 0.9}]))
    for crowd, expected in ((1, 1.0), (0, 0.5 * 51 / 101)):
        objects = [{**told[0], "area": 400, "iscrowd": 0}, {**told[1], "area": 4900, "iscrowd": crowd}]
        truth.write_text(json.dumps({"images": [image], "categories": [{"id": 1}], "annotations": objects}))
        found = boundary_average_precision(truth, results)
        assert found["ap"] == pytest.approx(expected)
        assert found["ap_small"] == pytest.approx(1.0 if crowd else 0.5)
        assert math.isnan(found["ap_large"]) and math.isnan(found["ap_medium"]) == bool(crowd)


def test_the_ring_along_an_edge_is_not_the_thing(tmp_path: Path) -> None:
    """Its Boundary IoU is 1: the mask IoU decides."""
    truth = np.zeros((200, 200), bool)
    truth[20:180, 20:180] = True
    ring = truth.copy()
    ring[32:168, 32:168] = False
    assert boundary_average_precision(*files(tmp_path, truth, ring), 0.02)["ap50"] == 0.0


@pytest.mark.parametrize(
    ("segmentation", "problem"),
    [
        ({"counts": [3, 2], "size": [2, 3]}, "add up to 5, the image has 6 pixels"),
        ({"counts": [6], "size": [3, 2]}, "run lengths of size"),
        ({"counts": [7, -1], "size": [2, 3]}, "add up to 6"),
        ({"counts": "\x01", "size": [2, 3]}, "hold what none can"),
        ({"counts": "o", "size": [2, 3]}, "end within a number"),
        ([[1, 2, 3]], "at least three points"),
        ([[1, 2, 3, 4, 5, math.nan]], "no number"),
        ([[1, 2, 3, 4, 5, "6"]], "no number"),
        ([[1, 2, 3, 4, 5, 10**400]], "far outside every image"),
        ([[0, 0, 1e7, 0, 0, 1e7]], "outline is 30,000,000 pixels long"),
        ([], "a list of polygons"),
        (None, "a list of polygons"),
    ],
)
def test_a_segmentation_that_does_not_hold_is_refused(segmentation: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        coco_mask(segmentation, (2, 3))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ('{"images": 3}', "expected a list of objects"),
        ("[]", "is not a COCO ground-truth file"),
        ("{", "is not JSON"),
        ('{"images": [{"id": 7, "height": 0, "width": 4}], "categories": [], "annotations": []}', "size of 0x4"),
        ('{"images": [{"id": 1' + "0" * 400 + '}], "categories": [], "annotations": []}', "no number `id`"),
        ('{"images": [], "categories": [], "annotations": []}', "image 7, which the ground truth does not have"),
    ],
)
def test_a_file_that_does_not_hold_is_one_line(tmp_path: Path, changed: str, problem: str) -> None:
    truth, results = files(tmp_path, np.ones((4, 4), bool), np.ones((4, 4), bool))
    truth.write_text(changed)
    with pytest.raises(DataError, match=problem):
        boundary_average_precision(truth, results)
