"""The CamVid recipe, shortened: real frames, float phase, QAT, INT8 TFLite, its mean IoU, 0 differing values."""

import json
from pathlib import Path

import pytest

from edge.cli.main import main
from edge.data.scenes import camvid
from edge.evaluation.baseline import mean_mask_score

RECIPE = Path(__file__).resolve().parent.parent / "edge" / "recipes" / "fast_scnn_camvid.toml"
SHORTENED = ("train.epochs=3", "train.warmup_epochs=0.5", "train.eval_epochs=3", "train.ema_decay=0.95", "qat.epochs=1")
SHORTENED += ("qat.freeze_batch_norm_epoch=0", "qat.freeze_ranges_epoch=1")


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_shortened_recipe_learns_and_its_int8_file_keeps_it(
    test_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Float well above the mean mask, the INT8 TFLite file within a point of it, every value as simulated."""
    overrides = [word for override in SHORTENED for word in ("--set", override)]
    root = ["--data-root", str(test_data / "camvid")]
    assert main(["train", str(RECIPE), "-o", str(tmp_path / "run"), *root, *overrides]) == 0
    int8 = tmp_path / "int8"
    assert main(["convert", str(tmp_path / "run" / "qat.safetensors"), "-o", str(int8), "--no-verify"]) == 0
    split = f"camvid:{test_data / 'camvid'}:val"
    capsys.readouterr()
    scores = {}
    for name, subject in (("float", tmp_path / "run" / "float.safetensors"), ("int8", int8)):
        assert main(["eval", str(subject), "--split", split, "--json"]) == 0
        scores[name] = json.loads(capsys.readouterr().out)["miou"]
    trivial = mean_mask_score(camvid(test_data / "camvid", "train"), camvid(test_data / "camvid", "val"))
    assert scores["float"] > trivial.mean_iou + 0.05
    assert scores["int8"] > scores["float"] - 0.01
    main(["verify", str(int8), "--split", split, "--samples", "5", "--engine", "litert", "--json"])
    findings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    # After so few epochs five frames need not show that it knows more than the mean mask; all else holds.
    assert {line["check"] for line in findings if line.get("passed") is False} <= {"chance"}
    exact = next(line for line in findings if line.get("check") == "end to end")
    assert exact["differing"] == 0 and exact["values"] > 100_000
