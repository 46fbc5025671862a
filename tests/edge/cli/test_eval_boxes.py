"""`edge eval` of a detector: its table, its JSON, and the files in COCO's format that others count to the same."""

import json
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from edge.artifact.manifest import Labels
from edge.cli.main import main
from edge.data.open_split import open_split
from edge.recipe.recipe import Recipe
from edge.training.checkpoint import Checkpoint, write_checkpoint
from edge.training.network import float_module

pytestmark = pytest.mark.unhurried

SPLIT = ("--split", "generated:detect:val:6")
CLASSES = ("car", "bus", "person", "sign", "traffic light")
RECIPE: dict[str, Any] = {
    "name": "small",
    "model": {"name": "mobilenet_v2_ssdlite", "classes": len(CLASSES), "width": 0.25, "resolution": 96},
    "data": {"train": "generated:detect:train:8"},
    "preprocess": {
        "colour_order": "rgb",
        "height": 96,
        "width": 96,
        "interpolation": "bilinear",
        "fit": "stretch",
        "crop_fraction": 1.0,
        "mean": (127.5,) * 3,
        "std": (127.5,) * 3,
    },
    "train": {"epochs": 1, "batch_size": 8, "learning_rate": 0.1},
}


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A network of random weights: it finds boxes everywhere."""
    torch.manual_seed(0)
    recipe = Recipe.model_validate(RECIPE)
    path = tmp_path_factory.mktemp("runs") / "float.safetensors"
    tensors = float_module(recipe).state_dict()
    write_checkpoint(
        path, Checkpoint(kind="float", recipe=recipe, tensors=tensors, labels=Labels(names=CLASSES), metrics={})
    )
    return str(path)


@pytest.fixture(scope="module")
def found(detector: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The split as files: its images, and its boxes without ignored ones, but with the best that is found in each."""
    folder, split = tmp_path_factory.mktemp("photos"), open_split(split=SPLIT[1])
    assert main(["eval", detector, *SPLIT, "--coco-results", str(folder)]) == 0
    told = json.loads((folder / "annotations.json").read_text())
    results = json.loads((folder / "results.json").read_text())
    for index, image in enumerate(told["images"]):
        image["file_name"] += ".png"  # a drawn image is no file
        path = folder / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), split.image(index)[:, :, ::-1])
        best = max((row for row in results if row["image_id"] == image["id"]), key=lambda row: float(row["score"]))
        added = {"id": 1000 + index, "image_id": image["id"], "category_id": best["category_id"], "iscrowd": 0}
        told["annotations"].append({**added, "bbox": best["bbox"], "area": best["bbox"][2] * best["bbox"][3]})
    (folder / "annotations.json").write_text(json.dumps(told))
    return ["--images", str(folder), "--boxes", str(folder / "annotations.json")]


def test_files_in_cocos_format_count_to_the_figures_that_are_told(
    detector: str, found: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from faster_coco_eval import COCO, COCOeval_faster

    folder = tmp_path / "coco"
    capsys.readouterr()
    assert main(["eval", detector, *found, "--coco-results", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["images"] == 6 and set(told["per_class"]) == set(CLASSES) and 0 < told["map"] <= told["recall"] < 1
    truth = COCO(folder / "annotations.json")
    results = json.loads((folder / "results.json").read_text())
    assert len(results) > 50 and {entry["image_id"] for entry in results} == set(range(1, 7))
    assert [image["id"] for image in truth.dataset["images"]] == list(range(1, 7))
    assert all((image["height"], image["width"]) == (192, 256) for image in truth.dataset["images"])
    counted = COCOeval_faster(truth, truth.loadRes(results), "bbox")
    counted.run()
    keys = ("map", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
    assert [-1 if told[key] is None else told[key] for key in keys] == pytest.approx(list(counted.stats[:6]))


def test_the_boxes_of_a_split_come_back_from_their_file(
    detector: str, found: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [*found[:3], str(tmp_path / "annotations.json")]
    capsys.readouterr()
    assert main(["eval", detector, *found, "--coco-results", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert main(["eval", detector, *asked, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert {key: again[key] for key in ("map", "recall", "per_class")} == {
        key: told[key] for key in ("map", "recall", "per_class")
    }


def test_the_table_has_average_precision_by_size_and_by_class(
    detector: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", detector, *SPLIT]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("map", "ap50", "ap75", "ap_small", "recall", "AP50 %", *CLASSES))


def test_true_boxes_are_drawn_beside_those_that_were_found(
    detector: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A picture an image, twice as wide as it, the worst first; the figures stay."""
    assert main(["eval", detector, *SPLIT, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert main(["eval", detector, *SPLIT, "--json", "--worst", str(tmp_path / "worst")]) == 0
    again = capsys.readouterr()
    assert json.loads(again.out) == told
    pictures = sorted((tmp_path / "worst").iterdir())
    assert [path.name[:3] for path in pictures] == ["01_", "02_", "03_", "04_", "05_", "06_"]
    for path in pictures:
        picture = cv2.imread(str(path))
        assert picture is not None and picture.shape == (192, 512, 3)
        assert f"{path}: " in again.err


def test_what_is_refused_leaves_no_folder_of_pictures(
    detector: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--split", "generated:classify:val:2", "--worst", str(tmp_path / "worst")]
    assert main(["eval", detector, *asked]) == 2
    assert not (tmp_path / "worst").exists()


def test_cocos_format_is_for_boxes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    classifier = Recipe.model_validate(
        RECIPE
        | {
            "model": {"name": "mobilenet_v1", "classes": 8, "width": 0.25, "resolution": 96},
            "data": {"train": "generated:classify:train:8"},
        }
    )
    path = tmp_path / "float.safetensors"
    tensors = float_module(classifier).state_dict()
    labels = Labels(names=tuple(str(k) for k in range(8)))
    write_checkpoint(path, Checkpoint(kind="float", recipe=classifier, tensors=tensors, labels=labels, metrics={}))
    asked = ["eval", str(path), "--split", "generated:classify:val:2", "--coco-results", str(tmp_path / "coco")]
    assert main(asked) == 2
    assert "--coco-results: generated:classify:val" in capsys.readouterr().err
    assert not (tmp_path / "coco").exists()
