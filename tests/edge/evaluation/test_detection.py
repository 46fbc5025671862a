"""Average precision of boxes: equal to COCO's own counting on random boxes and on blood cells; its closed cases."""

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.data.boxes import Box, BoxArrays, box_arrays
from edge.evaluation.chance import bootstrap_lower
from edge.evaluation.coco_boxes import ANNOTATIONS, RESULTS, write_coco
from edge.evaluation.detection import detection_figures, mean_precision

pytestmark = pytest.mark.extra  # faster-coco-eval

KEYS = ("map", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "recall")
CLASSES = ("a", "b", "c", "d")
PYCOCOTOOLS = """
import json, sys
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
truth = COCO(sys.argv[1] + "/annotations.json")
found = COCOeval(truth, truth.loadRes(sys.argv[1] + "/results.json"), "bbox")
found.evaluate()
found.accumulate()
found.summarize()
by_class = found.eval["precision"][:, :, :, 0, 2]
told = [by_class[:, :, k] for k in range(by_class.shape[2])]
means = [float(one[one > -1].mean()) if (one > -1).any() else -1 for one in told]
print(json.dumps([float(found.stats[k]) for k in (0, 1, 2, 3, 4, 5, 8)] + means))
"""
Scene = tuple[list[np.ndarray], list[BoxArrays]]


def said(rng: np.random.Generator, truth: BoxArrays, classes: int, size: int) -> np.ndarray:
    """What a middling detector would say: moved copies, twins, wrong classes and false boxes; equal scores happen."""
    rows = []
    for box, label in zip(truth.boxes.astype(float), truth.labels, strict=True):
        for _ in range(int(rng.integers(0, 4))):
            moved = box + rng.normal(0, 0.07, 4) * np.tile(box[2:] - box[:2], 2)
            rows.append([*moved, round(float(rng.random()), 2), label if rng.random() < 0.9 else rng.integers(classes)])
    for _ in range(int(rng.integers(0, 9))):
        corner, sides = rng.random(2) * size, rng.uniform(4, 150, 2)
        rows.append([*corner, *(corner + sides), round(float(rng.random()) * 0.6, 2), rng.integers(classes)])
    told = np.array(rows, np.float64).reshape(-1, 6)
    told[:, 2:4] = np.maximum(told[:, 2:4], told[:, :2] + 1)
    return told.astype(np.float32).astype(np.float64)


def scene(seed: int, images: int = 40) -> Scene:
    """Boxes of all sizes in three of four classes, some ignored, some images empty."""
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(images):
        count = 0 if rng.random() < 0.15 else int(rng.integers(0, 14))
        sides = np.exp(rng.uniform(np.log(8), np.log(220), (count, 2)))
        corners = rng.random((count, 2)) * 400
        boxes = np.concatenate([corners, corners + sides], axis=1).astype(np.float32)
        labels, ignored = rng.integers(0, 3, count), rng.random(count) < 0.15
        truth.append(BoxArrays(boxes=boxes, labels=labels, ignored=ignored))
        found.append(said(rng, truth[-1], 4, 400))
    return found, truth


def cells(test_data: Path) -> Scene:
    """The validation images of the blood cells, and a middling detector."""
    told = json.loads((test_data / "bccd" / "val.json").read_text())
    boxes: dict[int, list[Box]] = {image["id"]: [] for image in told["images"]}
    for entry in told["annotations"]:
        x, y, width, height = entry["bbox"]
        boxes[entry["image_id"]].append(Box(x, y, x + width, y + height, entry["category_id"] - 1))
    truth = [box_arrays(one) for one in boxes.values()]
    rng = np.random.default_rng(7)
    return [said(rng, one, 3, 480) for one in truth], truth


def one_image(rows: list[list[float]], boxes: list[Box]) -> Scene:
    return [np.array(rows, np.float64).reshape(-1, 6)], [box_arrays(boxes)]


def written(folder: Path, scene: Scene, classes: tuple[str, ...]) -> Path:
    count = len(scene[0])
    write_coco(folder, *scene, classes, [f"{k}.jpg" for k in range(count)], [(480, 640)] * count)
    return folder


def pycocotools(python: str, folder: Path) -> list[float | None]:
    told = subprocess.run([python, "-c", PYCOCOTOOLS, str(folder)], check=True, capture_output=True, text=True).stdout
    return [None if value < 0 else value for value in json.loads(told.splitlines()[-1])]


def all_figures(figures: dict[str, Any]) -> list[float | None]:
    return [figures[key] for key in KEYS] + [entry["ap"] for entry in figures["per_class"].values()]


@pytest.mark.parametrize("seed", range(3))
def test_figures_equal_pycocotools_on_random_boxes(pycocotools_python: str, tmp_path: Path, seed: int) -> None:
    boxes = scene(seed)
    theirs = pycocotools(pycocotools_python, written(tmp_path, boxes, CLASSES))
    ours = all_figures(detection_figures(*boxes, CLASSES))
    assert 0.2 < ours[0] < ours[1] < 0.8 and ours[-1] is None
    assert ours == pytest.approx(theirs, abs=1e-12)


def test_figures_equal_pycocotools_on_blood_cells(pycocotools_python: str, test_data: Path, tmp_path: Path) -> None:
    boxes, names = cells(test_data), ("RBC", "WBC", "Platelets")
    theirs = pycocotools(pycocotools_python, written(tmp_path, boxes, names))
    assert all_figures(detection_figures(*boxes, names)) == pytest.approx(theirs, abs=1e-12)


def test_no_output_and_files_that_the_package_reads_to_equal_figures(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from faster_coco_eval import COCO, COCOeval_faster

    boxes = scene(3)
    ours = detection_figures(*boxes, CLASSES)
    assert capfd.readouterr() == ("", "")
    folder = written(tmp_path, boxes, CLASSES)
    truth = COCO(folder / ANNOTATIONS)
    found = COCOeval_faster(truth, truth.loadRes(str(folder / RESULTS)), "bbox")
    found.run()
    assert [ours[key] for key in KEYS] == [found.stats[k] for k in (0, 1, 2, 3, 4, 5, 8)]


@pytest.mark.parametrize("seed", range(3))
def test_matches_of_our_own_give_the_same_average_precision(seed: int) -> None:
    boxes = scene(seed)
    ours = mean_precision(*boxes, 4)(np.ones(40, np.int64))
    assert ours == pytest.approx(detection_figures(*boxes, CLASSES)["map"], abs=1e-12)


def test_images_drawn_again_count_as_images_that_are_there_again() -> None:
    found, truth = scene(5)
    for rows in found:  # of equal scores in one image and its copy the order would differ
        rows[:, 4] += np.linspace(0, 1e-3, len(rows))
    metric = mean_precision(found, truth, 4)
    rng = np.random.default_rng(0)
    for _ in range(3):
        drawn = np.sort(rng.integers(0, 40, 40))
        whole = detection_figures([found[k] for k in drawn], [truth[k] for k in drawn], CLASSES)["map"]
        assert metric(np.bincount(drawn, minlength=40)) == pytest.approx(whole, abs=1e-12)
    assert np.isnan(metric(np.zeros(40, np.int64)))


@pytest.mark.unhurried
def test_the_lower_end_lies_below_the_value_and_more_images_narrow_it() -> None:
    ends = []
    for found, truth in (scene(0, 10), scene(0, 60)):
        value = detection_figures(found, truth, CLASSES)["map"]
        lower = bootstrap_lower(len(found), mean_precision(found, truth, 4))
        assert 0 < lower < value
        ends.append(value - lower)
    assert ends[1] < ends[0]


def test_no_images_and_classes_that_none_has_change_nothing() -> None:
    assert np.isnan(mean_precision([], [], 4)(np.empty(0, np.int64)))
    one = np.ones(6, np.int64)
    assert mean_precision(*scene(0, 6), 4)(one) == mean_precision(*scene(0, 6), 9)(one)


def test_perfect_boxes_reach_1_and_none_0() -> None:
    boxes = [Box(0, 0, 20, 20, 0), Box(30, 30, 80, 80, 1), Box(100, 100, 300, 300, 1)]
    rows = [[*box[:4], 0.9, box.label] for box in boxes]
    figures = detection_figures(*one_image(rows, boxes), ("a", "b", "c"))
    assert all(figures[key] == pytest.approx(1.0) for key in KEYS)
    assert figures["per_class"]["b"] == pytest.approx({"ap": 1.0, "ap50": 1.0, "boxes": 2})
    assert figures["per_class"]["c"] == {"ap": None, "ap50": None, "boxes": 0}
    nothing = detection_figures(*one_image([], boxes), ("a", "b", "c"))
    assert all(nothing[key] == 0.0 for key in KEYS)


def test_without_objects_a_figure_is_unknown_and_not_0() -> None:
    figures = detection_figures(*one_image([[0, 0, 9, 9, 0.9, 0]], []), ("a",))
    assert all(figures[key] is None for key in KEYS)
    medium = detection_figures(*one_image([], [Box(0, 0, 50, 50, 0)]), ("a",))
    assert (medium["ap_small"], medium["ap_medium"], medium["ap_large"]) == (None, 0.0, None)


def test_an_overlap_of_70_percent_is_right_at_5_of_10_thresholds() -> None:
    """IoU 0.72: right at 0.50, 0.55, ... 0.70."""
    figures = detection_figures(*one_image([[0, 0, 100, 72, 0.9, 0]], [Box(0, 0, 100, 100, 0)]), ("a",))
    assert (figures["map"], figures["ap50"], figures["ap75"]) == pytest.approx((0.5, 1.0, 0.0))
    assert figures["recall"] == pytest.approx(0.5)


def test_what_is_ignored_is_neither_right_nor_wrong() -> None:
    """Boxes that lie in an ignored one cost nothing, however many; beside one that counts they are two wrong ones."""
    rows = [[0, 0, 20, 20, 0.9, 0], [30, 30, 50, 50, 0.95, 0], [35, 35, 55, 55, 0.95, 0]]
    for ignored, expected in ((True, 1.0), (False, 1 / 3 * 51 / 101)):
        boxes = [Box(0, 0, 20, 20, 0), Box(30, 30, 90, 90, 0, ignored)]
        figures = detection_figures(*one_image(rows, boxes), ("a",))
        assert figures["map"] == pytest.approx(expected)
        assert figures["per_class"]["a"]["boxes"] == 2 - ignored


def test_a_second_box_on_one_object_is_wrong() -> None:
    rows = [[0, 0, 20, 20, 0.9, 0], [0, 0, 20, 20, 0.8, 0], [50, 50, 70, 70, 0.7, 0]]
    boxes = [Box(0, 0, 20, 20, 0), Box(50, 50, 70, 70, 0)]
    assert detection_figures(*one_image(rows, boxes), ("a",))["map"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_the_101st_box_of_a_class_is_not_counted() -> None:
    boxes = [Box(0, 0, 20, 20, 0)]
    false = [[200 + k, 200, 230 + k, 230, 0.9, 0] for k in range(100)]
    other = [[200 + k, 200, 230 + k, 230, 0.9, 1] for k in range(100)]
    right = [0, 0, 20, 20, 0.5, 0]
    for rows, expected in (([*false, right], 0.0), ([*false[1:], *other, right], 1.0)):
        one = one_image(rows, boxes)
        assert detection_figures(*one, ("a", "b"))["recall"] == expected
        assert (mean_precision(*one, 2)(np.ones(1, np.int64)) > 0) == bool(expected)


def test_the_package_is_in_the_extra_that_its_message_names() -> None:
    root = Path(__file__).resolve().parents[3]
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert any(line.startswith("faster-coco-eval==") for line in extras["detection"])
    assert "detection" in extras["train"][0]
