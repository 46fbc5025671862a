"""A detector through the verbs: eval, verify, camera, bench, inspect and explain, from its checkpoint on."""

import json
from pathlib import Path
from typing import Any

import cv2
import pytest

from converters.convert.calibration import Calibration
from converters.convert.quantize import quantize_source
from edge.cli.main import main
from edge.data.open_split import open_split
from tests.support.detectors import detector_checkpoint

pytestmark = pytest.mark.unhurried

COMMITTED = Path(__file__).parents[3] / "calibration_data"
SPLIT = "generated:detect:val:4"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = open_split(split=SPLIT).classes
    return detector_checkpoint(tmp_path_factory.mktemp("detector") / "float.safetensors", tuple(names))


@pytest.fixture(scope="module")
def artifact(checkpoint: Path) -> Path:
    folder = checkpoint.with_name("int8")
    quantize_source(checkpoint, folder, Calibration(split=open_split(split="generated:detect:train:8"), images=8))
    return folder


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_eval_counts_a_checkpoint_and_its_artifact(
    checkpoint: Path, artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    for subject in (checkpoint, artifact):
        assert main(["eval", str(subject), "--split", SPLIT, "--json"]) == 0
        (found,) = told(capsys)
        assert found["images"] == 4 and 0 <= found["map"] <= found["ap50"] <= 1
        assert set(found["per_class"]) == set(open_split(split=SPLIT).classes)
    assert main(["eval", str(artifact), "--split", SPLIT]) == 0
    printed = capsys.readouterr().out
    assert "ap50" in printed and "AP50 %" in printed and "car" in printed


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Four streets that are all said to have a car and a sign at the same places: whoever looks at none is right."""
    folder, split = tmp_path_factory.mktemp("alike"), open_split(split=SPLIT)
    boxes: list[dict[str, Any]] = []
    images = [{"id": index, "file_name": f"{index}.png", "width": 256, "height": 192} for index in range(len(split))]
    for index in range(len(split)):
        cv2.imwrite(str(folder / f"{index}.png"), split.image(index)[:, :, ::-1])
        for label, bbox in ((0, [20, 90, 110, 47]), (3, [183, 30, 40, 41])):
            one = {"id": len(boxes) + 1, "image_id": index, "category_id": label, "bbox": bbox, "iscrowd": 0}
            boxes.append({**one, "area": bbox[2] * bbox[3]})
    categories = [{"id": label, "name": name} for label, name in enumerate(split.classes)]
    coco = {"images": images, "annotations": boxes, "categories": categories}
    (folder / "boxes.json").write_text(json.dumps(coco))
    return ["--images", str(folder), "--boxes", str(folder / "boxes.json")]


def test_verify_compares_boxes_with_the_parent_and_judges_map(
    artifact: Path, alike: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Random weights know nothing, so that it does not ship; their integers are exact, and decide nearly alike."""
    asked = ["--operator-samples", "0", "--agreement-floor", "0.99", "--engine", "litert", "--json"]
    assert main(["verify", str(artifact), *alike, *asked]) == 1
    rows = told(capsys)
    by_check = {row["check"]: row for row in rows if row.get("check")}
    assert by_check["end to end"]["passed"] and by_check["end to end"]["differing"] == 0
    assert by_check["accuracy"]["metric"] == "map"
    assert 0.3 < by_check["agreement"]["parent_agreement"] < 0.99 and not by_check["agreement"]["passed"]
    assert (
        not by_check["chance"]["passed"]
        and "the commonest boxes of the split's other half" in by_check["chance"]["detail"]
    )


def test_the_camera_tells_boxes_and_draws_them(
    artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = open_split(split=SPLIT).image(2)
    cv2.imwrite(str(tmp_path / "street.png"), frame[:, :, ::-1])
    asked = ["camera", str(artifact), "--source", str(tmp_path / "street.png"), "--top", "3"]
    assert main([*asked, "--json", "--out", str(tmp_path / "drawn")]) == 0
    first, _ = told(capsys)
    assert len(first["boxes"]) == 3
    for box in first["boxes"]:
        assert 0 <= box["x0"] < box["x1"] <= frame.shape[1] and 0 <= box["y0"] < box["y1"] <= frame.shape[0]
        assert box["name"] == open_split(split=SPLIT).classes[box["index"]]
    assert cv2.imread(str(tmp_path / "drawn" / "street.png")) is not None
    assert main([*asked, "--threshold", "0.999"]) == 0
    assert "street.png  no box" in capsys.readouterr().out


def test_bench_times_the_stages_down_to_the_boxes(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [
        "--engine",
        "litert",
        "--rounds",
        "1",
        "--min-seconds",
        "0.05",
        "--warmup-seconds",
        "0",
        "--end-to-end",
        "--json",
    ]
    assert main(["bench", str(artifact), *asked]) == 0
    (record,) = told(capsys)
    assert record["end_to_end"]["missing"] is None and min(record["end_to_end"]["stages"]["postprocess"]) > 0


def test_inspect_says_how_boxes_are_made(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(artifact)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "detect, head: raw" in printed and "form ssd, 204 anchors on 6 maps, threshold 0.3" in printed
    assert main(["inspect", str(artifact), "--json"]) == 0
    manifest = next(row for row in told(capsys) if row["entry"] == "manifest")
    assert manifest["detection"]["anchors"]["count"] == 204


def test_explain_compares_what_a_detector_and_its_integers_look_at(
    checkpoint: Path, artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    street = sorted((COMMITTED / "segment" / "images").iterdir())[0]
    asked = ["--compare", str(artifact), "--class", "car", "--max-steps", "8", "-o", str(tmp_path / "out"), "--json"]
    assert main(["explain", str(checkpoint), str(street), *asked]) in (0, 1)
    (row,) = told(capsys)
    assert row["class"] == "car" and 0 < row["score"] < 1 and abs(row["score"] - row["other_score"]) < 0.2
    assert -1 <= row["correlation"] <= 1
