"""A shortened CamVid training: real photographs, both phases, better than the mean mask."""

from pathlib import Path

import pytest

from edge.data.scenes import camvid
from edge.data.split_file import write_split
from edge.evaluation.baseline import mean_mask_score
from edge.recipe_file import read_recipe
from edge.training.checkpoint import read_checkpoint
from edge.training.progress import Silent
from edge.training.run import Request, train

RECIPE = Path(__file__).parents[3] / "edge" / "recipes" / "fast_scnn_camvid.toml"
SHORTER = [
    "train.epochs=12",
    "train.batch_size=4",
    "train.crop_hw=[192, 256]",
    "train.ema_decay=0.95",
    "train.eval_epochs=12",
    "qat.epochs=1",
    "qat.batch_size=4",
    "qat.observe_batches=4",
]


@pytest.mark.slow
@pytest.mark.data
def test_fast_scnn_learns_camvid_and_keeps_it_in_int8(test_data: Path, tmp_path: Path) -> None:
    root = test_data / "camvid"
    for part, step in (("train", 5), ("val", 6)):
        split = camvid(root, part)
        write_split(split.subset(range(0, len(split), step)), tmp_path / f"{part}.split.json")
    overrides = [*SHORTER, *(f"data.{part}='{tmp_path}/{part}.split.json'" for part in ("train", "val"))]
    recipe = read_recipe(RECIPE, overrides=overrides)
    train(Request(recipe=recipe, folder=tmp_path / "run", threads=1), Silent())
    trained = {kind: read_checkpoint(tmp_path / "run" / f"{kind}.safetensors").metrics for kind in ("float", "qat")}
    floor = mean_mask_score(
        camvid(root, "train").subset(range(0, 367, 20)), camvid(root, "val").subset(range(0, 101, 6))
    )
    assert trained["float"]["miou"] > floor.mean_iou + 0.03
    assert trained["qat"]["miou"] > trained["float"]["miou"] - 0.03
