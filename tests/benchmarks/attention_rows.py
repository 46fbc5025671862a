"""The rows of `tests.benchmarks.attention`: four sets, on each a network plain and with every attention module.

Objects and scenes are generated, their rows are those of `tests.benchmarks.methods`, learned from random weights.
CamVid begins with a given checkpoint of the plain network, photographs with given weights of ImageNet.
"""

from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path

from edge.files import atomic
from edge.models.attention import ATTENTION
from edge.recipe.recipe_file import recipe_toml
from edge.training.float_phase import FLOAT_NAME
from edge.training.loop import STATE_NAME
from edge.training.own_images import OwnImages, recipe_for
from tests.benchmarks import methods_rows
from tests.benchmarks.methods_row import edge
from tests.benchmarks.methods_rows import Row
from tests.benchmarks.own_photographs import FOLDS, write_lists

PLAIN, AGAIN = "none", "none again"
SETS = ("objects", "scenes", "camvid", "photographs")
GENERATED = {"mobilenet_v2": "objects", "fast_scnn": "scenes"}
SEEDS = ("train.seed=11", "qat.seed=12")
CAMVID = (
    "train.epochs=3", "train.learning_rate=1e-3", "train.warmup_epochs=1", "train.ema_decay=0.98",
    "train.eval_epochs=3", "qat.epochs=1", "qat.freeze_ranges_epoch=1", "qat.eval_epochs=1",
)  # fmt: skip
# Statistics of batch norm are live: a module that scales what it gates, as CBAM at its start, is made up for by them.
LIVE = ("train.freeze_batch_norm_epoch=1000", "train.warmup_epochs=1", "train.keep=last")
START = (*LIVE, "train.learning_rate=5e-4", "train.epochs=10", "train.eval_epochs=10", "model.resolution=128")
PHOTOGRAPHS = (
    *LIVE, "train.learning_rate=1e-3", "train.epochs=6", "train.eval_epochs=6", "train.head=given", "qat.eval_epochs=2",
)  # fmt: skip


def rows(root: Path, folder: Path) -> dict[tuple[str, str], list[Row]]:
    """What is trained for each set and kind of attention: one row, of photographs one per fold.

    The plain network of a set of masks is trained once more with other seeds (AGAIN): what differs by less than those
    two means nothing.

    Args:
        root: the folder of the test data. folder: where the runs lie.
    """
    found = {}
    for row in methods_rows.ROWS:
        network, _, option = row.name.partition(" ")
        if network in GENERATED and (option or PLAIN) in ATTENTION:
            found[GENERATED[network], option or PLAIN] = [row]
    for attention in ATTENTION:
        found["camvid", attention] = [_camvid(root.resolve(), attention)]
        found["photographs", attention] = [_photographs(folder, attention, fold) for fold in range(FOLDS)]
    for name in ("scenes", "camvid"):
        (plain,) = found[name, PLAIN]
        found[name, AGAIN] = [replace(plain, name=f"{plain.name} again", changes=(*plain.changes, *SEEDS))]
    return dict(sorted(found.items(), key=lambda cell: SETS.index(cell[0][0])))


def _camvid(root: Path, attention: str) -> Row:
    init = f"train.init={root}/models/fast_scnn_camvid_360x480_float.safetensors"
    return Row(
        name=f"camvid {attention}",
        recipe="fast_scnn_camvid",
        split=f"camvid:{root}/camvid:val",
        changes=(*CAMVID, f"data.root={root}/camvid", init, f"model.attention={attention}"),
        ranked=False,
    )


def _photographs(folder: Path, attention: str, fold: int) -> Row:
    recipe = _fold_folder(folder, fold) / "recipe.toml"
    init = f"train.init={recipe.with_name('start') / FLOAT_NAME}"
    return Row(
        name=f"photographs {attention} fold {fold}",
        recipe=str(recipe),
        split=f"recipe:{recipe}:val",
        changes=(*PHOTOGRAPHS, init, f"model.attention={attention}"),
        ranked=False,
    )


def _fold_folder(folder: Path, fold: int) -> Path:
    """Where a fold's lists, recipe and plain network lie; absolute, as recipes name them."""
    return folder.resolve() / f"fold{fold}"


def begin_fold(root: Path, folder: Path, fold: int) -> None:
    """Write a fold's recipe and train what all its rows begin with: the plain network from ImageNet's weights.

    MobileNetV1 0.25 at 128x128. The recipe's `val` is what is tested on; nothing is chosen by it.
    """
    place = _fold_folder(folder, fold)
    labels, tested, classes = write_lists(root, fold, place)
    images, weights = str(root / "imagenet_samples" / "dev"), root / "models" / "mobilenet_v1_0.25_224.safetensors"
    own = OwnImages(
        images=images, labels=labels, classes=classes, val_images=images, val_labels=tested, init=str(weights)
    )
    recipe, _ = recipe_for(own, START)
    atomic.write_text(place / "recipe.toml", recipe_toml(recipe))
    resume = ["--resume"] if (place / "start" / STATE_NAME).is_file() else []
    with (place / "log.txt").open("a") as log, redirect_stderr(log):
        edge("train", place / "recipe.toml", "-o", place / "start", "--phase", "float", "--threads", "1", *resume)
