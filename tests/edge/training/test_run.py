"""A run trains what is asked, goes on exactly after a kill, and never overwrites another run."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from edge.errors import CheckpointError, EdgeError, FileError, UsageError
from edge.recipe.recipe import Recipe
from edge.recipe.recipe_file import read_recipe
from edge.training.checkpoint import read_checkpoint, restore_module
from edge.training.loop import METRICS_NAME, STATE_NAME
from edge.training.progress import Silent
from edge.training.qat_phase import range_notes
from edge.training.run import Request, train
from edge.training.state import read_position
from tests.support.networks import with_statistics

pytestmark = pytest.mark.unhurried

Make = Callable[..., Recipe]


def _train(recipe: Recipe, folder: Path, **changes: Any) -> list[dict[str, Any]]:
    """Train and return the epochs, without their times."""
    train(Request(recipe=recipe, folder=folder, threads=1, **changes), Silent())
    return _history(folder)


def _history(folder: Path) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in (folder / METRICS_NAME).read_text().splitlines()]
    for entry in entries:
        del entry["seconds"]
    return entries


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of both phases, from a recipe file."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("run")
    from_file = Path(__file__).parents[3] / "edge" / "recipes" / "mobilenet_v1_generated.toml"
    overrides = ["data.train='generated:classify:train:40'", "data.val='generated:classify:val:16'"]
    overrides += ["model.resolution=32", "preprocess.height=32", "preprocess.width=32", "train.state_steps=1"]
    overrides += ["train.batch_size=8", "train.epochs=2", "train.eval_epochs=1"]
    overrides += ["qat.batch_size=8", "qat.epochs=2", "qat.eval_epochs=1", "qat.state_steps=1"]
    recipe = read_recipe(from_file, overrides=overrides)
    _train(recipe, folder / "whole")
    return folder


def test_a_folder_is_held_while_it_is_trained_in(
    classifier: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second training there waits, and then finds a run: neither takes the place of the other's files."""

    def refused_to_others(request: Request, reporter: object) -> None:
        descriptor = os.open(request.folder, os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)
        raise InterruptedError

    monkeypatch.setattr("edge.training.run._run", refused_to_others)
    with pytest.raises(InterruptedError):
        train(Request(recipe=classifier(), folder=tmp_path / "run"), Silent())


@pytest.mark.parametrize(
    "changes", [{"model__classes": 5}, {"train__auxiliary_weight": 0.4}, {"data__train": "generated:segment:train:8"}]
)
def test_what_is_refused_leaves_no_folder(classifier: Make, tmp_path: Path, changes: dict[str, Any]) -> None:
    """Neither the run's nor those above it that were made for it; what was there before stays."""
    (tmp_path / "runs").mkdir()
    with pytest.raises(UsageError):
        _train(classifier(**changes), tmp_path / "runs" / "new" / "run")
    assert list((tmp_path / "runs").iterdir()) == []
    with pytest.raises(UsageError):
        _train(classifier(**changes), tmp_path / "runs")
    assert (tmp_path / "runs").is_dir()


def test_a_refused_training_leaves_what_stands_in_its_folder(classifier: Make, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UsageError):
        _train(classifier(model__classes=5), folder)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("epochs", "given", "from_epoch"), [(1, None, 1), (2, None, 1), (6, None, 3), (3, 0, 0), (3, 2, 2)]
)
def test_ranges_are_learned_for_an_epoch_at_least(
    classifier: Make, epochs: int, given: int | None, from_epoch: int
) -> None:
    """The default is half of the epochs; of one epoch the half is none."""
    qat = classifier(qat__epochs=epochs, **({} if given is None else {"qat__freeze_ranges_epoch": given})).qat
    assert qat is not None and qat.ranges_frozen_from == from_epoch


def test_learned_ranges_that_no_step_moves_are_told(classifier: Make) -> None:
    assert range_notes(classifier().qat) == range_notes(None) == []
    assert range_notes(classifier(qat__ranges="moving_average", qat__freeze_ranges_epoch=0).qat) == []
    (note,) = range_notes(classifier(qat__freeze_ranges_epoch=0).qat)
    assert "freeze_ranges_epoch = 0" in note


def test_a_run_leaves_both_networks_and_its_history(finished: Path) -> None:
    folder = finished / "whole"
    parent, child = read_checkpoint(folder / "float.safetensors"), read_checkpoint(folder / "qat.safetensors")
    assert (parent.kind, child.kind, child.parent_sha256) == ("float", "qat", parent.sha256)
    assert parent.recipe == child.recipe == read_recipe(folder / "recipe.toml")
    history = _history(folder)
    assert [(entry["phase"], entry["epoch"]) for entry in history] == [
        ("float", 1),
        ("float", 2),
        ("qat", 1),
        ("qat", 2),
    ]
    assert history[-1]["val"] == dict(child.metrics)
    assert history[1]["val"] == dict(parent.metrics)
    assert child.metrics["images"] == 16
    assert len(child.labels.names) == 8
    assert restore_module(child)(torch.zeros(1, 3, 32, 32)).shape == (1, 8)


KILLED = """
import os, signal, sys
from pathlib import Path
from edge.recipe.recipe_file import read_recipe
from edge.training.loop import STATE_NAME
from edge.training.progress import Silent
from edge.training.qat_phase import range_notes
from edge.training.run import Request, train
from edge.training.state import read_position

recipe, folder, phase, batches = sys.argv[1:]
state = Path(folder) / STATE_NAME

class Killed(Silent):
    def advance(self, count, note=""):
        if state.exists() and (stands := read_position(state)).phase == phase:
            if 5 * stands.epoch + stands.batch >= int(batches):
                os.kill(os.getpid(), signal.SIGKILL)

train(Request(recipe=read_recipe(Path(recipe)), folder=Path(folder), threads=1), Killed())
"""
# A run that kills itself after the step that follows the state of so many batches of a phase (5 an epoch): nobody
# has to watch it, so it is killed at the same place however slow the machine is.


@pytest.mark.parametrize(("phase", "batches"), [("float", 8), pytest.param("qat", 7, marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_with_the_same_losses(finished: Path, tmp_path: Path, phase: str, batches: int) -> None:
    """Killed by SIGKILL inside an epoch; then resumed: losses, accuracies and the networks' bytes are the same."""
    recipe = finished / "whole" / "recipe.toml"
    command = [sys.executable, "-c", KILLED, str(recipe), str(tmp_path / "run"), phase, str(batches)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -signal.SIGKILL
    stands = read_position(tmp_path / "run" / STATE_NAME)
    assert (stands.phase, 5 * stands.epoch + stands.batch) == (phase, batches)
    resumed = _train(read_recipe(recipe), tmp_path / "run", resume=True)
    assert resumed == _history(finished / "whole")
    for name in ("float.safetensors", "qat.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (finished / "whole" / name).read_bytes()


def test_resuming_a_finished_run_changes_nothing(finished: Path) -> None:
    folder = finished / "whole"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    _train(read_recipe(folder / "recipe.toml"), folder, resume=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_holds_a_run_is_refused(finished: Path) -> None:
    recipe = read_recipe(finished / "whole" / "recipe.toml")
    with pytest.raises(UsageError, match="holds a run; go on with it by --resume"):
        _train(recipe, finished / "whole")


def test_a_changed_recipe_is_refused_by_its_key(finished: Path) -> None:
    folder = finished / "whole"
    changed = read_recipe(folder / "recipe.toml", overrides=["train.epochs=3"])
    with pytest.raises(UsageError, match=r"the recipe has changed since this run began: train\.epochs: 2 -> 3"):
        _train(changed, folder, resume=True)
    moved = read_recipe(folder / "recipe.toml", overrides=["data.workers=2"])
    _train(moved, folder, resume=True)


def test_a_run_goes_on_after_recipes_gained_a_key(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    position = read_position(finished / "whole" / STATE_NAME)
    del position.recipe["train"]["point_head_only"]
    monkeypatch.setattr("edge.training.run.read_position", lambda path: position)
    recipe = read_recipe(finished / "whole" / "recipe.toml")
    before = _history(finished / "whole")
    assert _train(recipe, finished / "whole", resume=True) == before


def test_a_damaged_state_is_refused_and_kept(finished: Path, tmp_path: Path) -> None:
    recipe = read_recipe(finished / "whole" / "recipe.toml")
    data = bytearray((finished / "whole" / STATE_NAME).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / STATE_NAME).write_bytes(data)
    with pytest.raises(CheckpointError, match="is damaged"):
        _train(recipe, tmp_path, resume=True)
    assert (tmp_path / STATE_NAME).read_bytes() == data
    (tmp_path / STATE_NAME).write_bytes((finished / "whole" / "float.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match="is not a resume state"):
        _train(recipe, tmp_path, resume=True)


def test_phases_run_one_by_one(classifier: Make, finished: Path, tmp_path: Path) -> None:
    recipe = read_recipe(finished / "whole" / "recipe.toml")
    _train(recipe, tmp_path / "run", phases="float")
    assert not (tmp_path / "run" / "qat.safetensors").exists()
    assert _train(recipe, tmp_path / "run", phases="qat") == _history(finished / "whole")


def test_a_float_checkpoint_stands_in_for_the_float_phase(finished: Path, tmp_path: Path) -> None:
    recipe = read_recipe(finished / "whole" / "recipe.toml")
    parent = finished / "whole" / "float.safetensors"
    assert _train(recipe, tmp_path, init=parent) == _history(finished / "whole")[2:]
    with pytest.raises(CheckpointError, match="is a 'qat' checkpoint"):
        _train(recipe, tmp_path / "other", init=tmp_path / "qat.safetensors")
    other = read_recipe(finished / "whole" / "recipe.toml", overrides=["model.width=0.5"])
    with pytest.raises(UsageError, match=r"another \[model\] or \[preprocess\]"):
        _train(other, tmp_path / "third", init=parent)


def test_a_teacher_alone_needs_no_labels(classifier: Make, finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(8):
        pixels = np.random.default_rng(index).integers(0, 256, (40, 48, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), pixels)
    recipe = classifier(
        data__train={"images": str(folder)},
        data__val=None,
        train__epochs=0,
        train__init=str(finished / "whole" / "float.safetensors"),
        qat__label_weight=0.0,
        qat__epochs=1,
    )
    history = _train(recipe, tmp_path / "run")
    assert [entry["phase"] for entry in history] == ["float", "qat"]
    assert history[1]["loss"] > 0


def test_fast_scnn_trains_with_auxiliary_heads_another_crop_and_bf16(segmenter: Make, tmp_path: Path) -> None:
    history = _train(segmenter(), tmp_path)
    assert [entry["phase"] for entry in history] == ["float", "qat"]
    assert set(history[0]["val"]) >= {
        "miou",
        "iou",
        "boundary_miou",
        "boundary_iou",
        "pixel_accuracy",
        "images",
        "split_sha256",
    }
    assert len(history[0]["val"]["iou"]) == 8


class _Cut:
    """A reporter that ends the run, as Ctrl-C does, when it is told of so many units done."""

    def __init__(self, units: int) -> None:
        self.left = units

    def start(self, what: str, total: int, done: int = 0) -> None:
        """Nothing."""

    def advance(self, count: int, note: str = "") -> None:
        """One fewer."""
        self.left -= count
        if self.left <= 0:
            raise KeyboardInterrupt

    def say(self, line: str) -> None:
        """Nothing."""


@pytest.fixture
def features(classifier: Make, tmp_path: Path) -> Path:
    """A file of weights whose features tell images apart."""
    save_file(with_statistics(classifier()).state_dict(), tmp_path / "features.safetensors")
    return tmp_path / "features.safetensors"


def _from_a_probe(classifier: Make, features: Path, **changes: Any) -> Recipe:
    """Both phases from another network's features, the best kept, until nothing gets better."""
    keys = {"keep": "best", "patience": 1, "epochs": 5, "state_steps": 2}
    tree = {f"{phase}__{key}": value for phase in ("train", "qat") for key, value in keys.items()}
    tree |= {"train__init": str(features), "train__head": "probe"}
    return classifier(**tree | {"train__learning_rate": 0.1} | changes)


def test_the_best_is_kept_beside_the_last_and_training_stops_early(
    classifier: Make, features: Path, tmp_path: Path
) -> None:
    history = _train(_from_a_probe(classifier, features), tmp_path)
    for phase in ("float", "qat"):
        entries = [entry for entry in history if entry["phase"] == phase]
        scores = [entry["val"]["top1"] for entry in entries]
        kept, last = (read_checkpoint(tmp_path / f"{phase}{end}.safetensors") for end in ("", "_last"))
        assert kept.metrics["epoch"] == scores.index(max(scores))
        assert kept.metrics["top1"] == max(scores)
        assert last.metrics["epoch"] == entries[-1]["epoch"] == kept.metrics["epoch"] + 1 < 5
        assert kept.metrics["complete"] and last.metrics["complete"]
    assert history[0]["epoch"] == 0 and history[0]["loss"] is None
    assert read_checkpoint(tmp_path / "qat.safetensors").parent_sha256 == kept_hash(tmp_path)


def kept_hash(folder: Path) -> str:
    return read_checkpoint(folder / "float.safetensors").sha256


@pytest.mark.parametrize("units", [40 + 16 + 3, pytest.param(40 + 16 + 5 + 16 + 4, marks=pytest.mark.slow)])
def test_a_run_that_keeps_the_best_goes_on_exactly(
    classifier: Make, features: Path, tmp_path: Path, units: int
) -> None:
    """Cut in the first or the second epoch: 40 images of the probe, 16 of each evaluation, 5 batches an epoch."""
    recipe = _from_a_probe(classifier, features, train__learning_rate=0.001, train__epochs=2, qat__epochs=1)
    whole = _train(recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(Request(recipe=recipe, folder=tmp_path / "cut", threads=1), _Cut(units))
    assert _train(recipe, tmp_path / "cut", resume=True) == whole
    for name in ("float.safetensors", "float_last.safetensors", "qat.safetensors", "qat_last.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_head_starts_from_the_probe_whatever_was_loaded(classifier: Make, features: Path, tmp_path: Path) -> None:
    history = _train(_from_a_probe(classifier, features, train__epochs=0, qat=None), tmp_path)
    assert [entry["epoch"] for entry in history] == [0]
    parent = load_file(features)
    probe = read_checkpoint(tmp_path / "float.safetensors").tensors
    moved = (name for name in probe if not torch.equal(probe[name], parent[name]))
    changed = {name for name in moved if not name.endswith("num_batches_tracked")}
    assert changed == {"classifier.linear.weight", "classifier.linear.bias"}


def test_what_does_not_fit_together_is_refused(classifier: Make, segmenter: Make, tmp_path: Path) -> None:
    cases: list[tuple[Recipe, type[EdgeError], str]] = [
        (
            classifier(preprocess__height=64),
            UsageError,
            r"\[preprocess\] is 64x32 \(height x width\), but mobilenet_v1 takes 32x32",
        ),
        (classifier(model__classes=9), UsageError, r"has 8 classes, \[model\] classes = 9"),
        (segmenter(data__train="generated:classify:train:8"), UsageError, "is for 'classify', fast_scnn for 'segment'"),
        (classifier(train__auxiliary_weight=0.4), UsageError, "has no auxiliary heads"),
        (classifier(model__name="mobilenet_v3"), UsageError, "unknown model 'mobilenet_v3'"),
        (classifier(train__learning_rate=1e38), EdgeError, "lower learning_rate"),
        (segmenter(train__head="probe"), UsageError, 'head = "probe" is for images with classes or labels'),
        (classifier(train__init="none.safetensors"), FileError, "none.safetensors"),
        (classifier(data__train="generated:clasify:train"), UsageError, "did you mean 'classify'"),
    ]
    for index, (recipe, kind, message) in enumerate(cases):
        with pytest.raises(kind, match=message):
            _train(recipe, tmp_path / str(index))


def test_phases_that_are_not_there_are_refused(classifier: Make, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no \[qat\]"):
        _train(classifier(qat=None), tmp_path / "a", phases="qat")
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        _train(classifier(), tmp_path / "b", phases="qat")
    with pytest.raises(CheckpointError, match="there is nothing to resume"):
        _train(classifier(), tmp_path / "c", resume=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot be made"):
        _train(classifier(), tmp_path / "file")
