"""`edge train --images --boxes` as docs/training.md has it: a detector without a recipe, from weights or from none."""

import json
from pathlib import Path

import cv2
import pytest
from safetensors.torch import save_file

from edge.cli.main import main
from edge.data.splits import Split
from edge.models.registry import build
from edge.recipe.recipe_file import read_recipe
from edge.training.own_images import OwnImages, recipe_for
from tests.support.box_files import write_coco
from tests.support.box_scenes import box_split
from tests.support.weight_layouts import renamed

SMALL = ["--set", "model.width=0.25", "--set", "model.resolution=64", "--epochs", "1", "--threads", "1"]
SMALL += ["--set", "train.batch_size=4", "--set", "qat.batch_size=4", "--set", "qat.epochs=1"]


def saved(split: Split, folder: Path) -> tuple[Path, Path]:
    """A split as images in a folder, and a COCO file beside it."""
    images, annotations = [], []
    for index in range(len(split)):
        path = folder / "pictures" / f"{split.name(index)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), split.image(index)[..., ::-1])
        height, width = split.image(index).shape[:2]
        images.append({"id": index, "file_name": path.name, "width": width, "height": height})
        truth = split.boxes(index)
        for (x0, y0, x1, y1), label in zip(truth.boxes.tolist(), truth.labels.tolist(), strict=True):
            row = {"id": len(annotations), "image_id": index, "category_id": label, "bbox": [x0, y0, x1 - x0, y1 - y0]}
            annotations.append(row)
    categories = [{"id": label, "name": name} for label, name in enumerate(split.classes)]
    return folder / "pictures", write_coco(folder / "boxes.json", images, annotations, categories)


@pytest.mark.unhurried
def test_a_detector_is_trained_validated_and_converted_without_a_recipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`edge eval` finds the images that were held out and counts the same; the artifact says how boxes are made."""
    pictures, boxes = saved(box_split(12), tmp_path)
    run = tmp_path / "run"
    words = ["train", "--images", str(pictures), "--boxes", str(boxes), "--holdout", "0.25", "-o", str(run), *SMALL]
    assert main([*words, "--json"]) == 0
    told = capsys.readouterr()
    assert "mobilenet_v2_ssdlite at 64x64 for 2 classes, from random weights, 1 epoch, then 1" in told.err
    metrics = json.loads(told.out)["metrics"]
    assert metrics["images"] == 3 and 0 <= metrics["map"] <= metrics["ap50"] <= 1
    assert main(["eval", str(run / "qat.safetensors"), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["split_sha256"] == metrics["split_sha256"] and again["map"] == pytest.approx(metrics["map"])
    assert main(["convert", str(run / "qat.safetensors"), "-o", str(tmp_path / "int8"), "--no-verify"]) == 0
    manifest = json.loads((tmp_path / "int8" / "manifest.json").read_text())
    assert manifest["task"] == "detect" and manifest["labels"]["names"] == ["red", "blue"]
    assert manifest["detection"]["anchors"]["count"] > 0
    plain = json.loads(boxes.read_text())
    plain["annotations"][0]["bbox"][2] -= 1
    boxes.write_text(json.dumps(plain))
    capsys.readouterr()
    assert main(["train", "-o", str(run), "--resume"]) == 2
    assert "or their labels or boxes, have changed since this run began" in capsys.readouterr().err


def test_a_classifiers_weights_become_a_detectors_backbone(tmp_path: Path) -> None:
    """The network and its width follow from the file; validation images may have a file of boxes of their own."""
    pictures, boxes = saved(box_split(6), tmp_path)
    weights = tmp_path / "mobilenet.safetensors"
    save_file(renamed(build("mobilenet_v2", classes=8, width=0.5, resolution=64), "torchvision"), weights)
    asked = OwnImages(images=str(pictures), boxes=str(boxes), init=str(weights))
    recipe, told = recipe_for(asked, ())
    assert recipe.model.name == "mobilenet_v2_ssdlite" and recipe.model.arguments["width"] == 0.5
    assert recipe.train.init == str(weights) and recipe.train.frozen_blocks == 4 and recipe.preprocess.height == 320
    assert recipe.data.train.boxes == str(boxes) and recipe.data.holdout == 0.1
    assert "for 2 classes" in told[-1]
    other, _ = recipe_for(
        OwnImages(images=str(pictures), boxes=str(boxes), val_images=str(pictures), val_boxes=str(boxes)), ()
    )
    assert other.data.val is not None and other.data.val.boxes == str(boxes) and other.data.holdout is None


def test_boxes_without_images_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--boxes", "boxes.json", "-o", str(tmp_path / "run")]) == 2
    assert "--boxes without --images" in capsys.readouterr().err
    pictures, boxes = saved(box_split(3), tmp_path)
    assert main(["train", "--images", str(pictures), "--val-boxes", str(boxes), "-o", str(tmp_path / "run")]) == 2
    assert "--val-boxes go with --val-images" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["bccd", "coco", "voc", "generated"])
def test_recipes_of_detectors_are_whole(name: str) -> None:
    """Networks and preprocessing of one size; every key is known."""
    recipe = read_recipe(Path(__file__).parents[3] / "edge" / "recipes" / f"mobilenet_v2_ssdlite_{name}.toml")
    assert recipe.model.arguments["resolution"] == recipe.preprocess.height == recipe.preprocess.width
    assert recipe.train.augment.flip > 0 and recipe.qat is not None
