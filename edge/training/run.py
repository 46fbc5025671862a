"""A run: a recipe's phases in a folder, from the beginning or from where it was interrupted.

```text
RUN/
  recipe.toml           the resolved recipe
  last.safetensors      the resume state
  metrics.jsonl         one line per finished epoch: loss, learning rate, accuracy
  float.safetensors     the float network
  qat.safetensors       the network trained with quantization
  float_last.safetensors, qat_last.safetensors    the last weights, where the result are the best (`keep = "best"`)
```
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import torch
from pydantic import ValidationError

from edge.data.boxes import BoxTarget
from edge.data.class_counts import class_notes
from edge.data.overlap import overlap_notes
from edge.data.recipe_splits import recipe_splits
from edge.data.splits import Split
from edge.errors import CheckpointError, UsageError
from edge.files import atomic
from edge.files.bounded_file import exists, is_file
from edge.files.folder_lock import held
from edge.recipe.recipe import Phase, Recipe
from edge.recipe.recipe_file import recipe_toml
from edge.training.allocator import keep_freed_memory
from edge.training.batches import KeptSamples
from edge.training.bfloat16 import bfloat16_notes
from edge.training.checkpoint import Checkpoint, read_checkpoint, restore_module
from edge.training.float_phase import FLOAT_NAME, check_fit, float_job, training_device
from edge.training.loop import METRICS_NAME, STATE_NAME, last_name, run_phase
from edge.training.progress import Reporter
from edge.training.qat_phase import QAT_NAME, qat_job, range_notes
from edge.training.remaining import afterwards_of
from edge.training.result import kept_metrics, no_better_than_chance
from edge.training.state import Position, read_position

RECIPE_NAME = "recipe.toml"
FILE_NAMES = (RECIPE_NAME, STATE_NAME, METRICS_NAME, FLOAT_NAME, QAT_NAME, last_name(FLOAT_NAME), last_name(QAT_NAME))
Wanted = Literal["all", "float", "qat"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a run.

    Attributes:
        folder: made where it does not exist; not left behind by what is refused.
        phases: `all` of the recipe, or one of them.
        resume: go on with what is in the folder; without it, a folder that holds a run is refused.
        init: a float checkpoint that stands in for the float phase.
        notes: lines that are said once training begins.
        threads: torch's; None: all cores, or as many as the run began with. Sums depend on it in the last bits.
    """

    recipe: Recipe
    folder: Path
    phases: Wanted = "all"
    resume: bool = False
    init: Path | None = None
    notes: Sequence[str] = ()
    threads: int | None = None


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What the phases of a run share; `notes` are said once training begins, `kept` is decoded once for all phases."""

    request: Request
    training: Split
    val: Split | None
    reporter: Reporter
    notes: Sequence[str]
    kept: KeptSamples

    def begin(self) -> None:
        """What is written and said once training begins: of what is refused before, one line is all that is left."""
        atomic.write_text(self.request.folder / RECIPE_NAME, recipe_toml(self.request.recipe))
        for note in self.notes:
            self.reporter.say(note)


def train(request: Request, reporter: Reporter) -> Position:
    """Run what is asked and return where the run stands then.

    Raises:
        UsageError: the folder holds another run, the recipe has changed, nothing to do for a phase.
        CheckpointError: the resume state or a checkpoint is missing or damaged.
    """
    recipe, folder = request.recipe, request.folder
    if request.phases == "qat" and recipe.qat is None:
        raise UsageError(f"recipe {recipe.name} has no [qat]: --phase qat has nothing to do")
    if request.init is not None and (recipe.qat is None or request.phases == "float"):
        raise UsageError("--init stands in for the float phase, and no other phase was asked for")
    with atomic.new_folder(folder), held(folder):
        return _run(request, reporter)


def _run(request: Request, reporter: Reporter) -> Position:
    """What is asked, in a folder that no other process trains in meanwhile."""
    recipe, folder = request.recipe, request.folder
    position = _open_run(request)
    cv2.setNumThreads(1)  # the loader's threads are the parallelism; more would take the cores from the network
    position.threads = request.threads or position.threads
    torch.set_num_threads(position.threads)
    keep_freed_memory()
    training, val = recipe_splits(recipe.data)
    _require_same_samples(position, training, val, folder)
    validated = "none" if val is None else _counted(val)
    lacking = [f"{training.origin}: {note}" for note in class_notes(training)]
    lacking += [f"{training.origin}: {note}" for note in overlap_notes(training, val)]
    lacking += [] if request.phases == "float" else range_notes(recipe.qat)
    lacking += bfloat16_notes(recipe, training_device())
    notes = [*request.notes, *lacking, f"{_counted(training)} to train on, {validated} to validate on"]
    kept = KeptSamples() if recipe.data.cache else KeptSamples(0)
    run = _Run(request=request, training=training, val=val, reporter=reporter, notes=notes, kept=kept)
    resuming = request.resume and is_file(folder / STATE_NAME)
    if position.phase == "float":
        _float_phase(run, position, resume=resuming)
        if request.phases == "float" or recipe.qat is None:
            return _judged(recipe.train, position, val, reporter)
        position = Position(
            phase="qat",
            history=position.history,
            recipe=position.recipe,
            samples_sha256=position.samples_sha256,
            threads=position.threads,
        )
        resuming = False
        run = replace(run, notes=())
    _qat_phase(run, position, resume=resuming)
    assert recipe.qat is not None  # refused above
    return _judged(recipe.qat, position, val, reporter)


def _judged(phase: Phase, position: Position, val: Split | None, reporter: Reporter) -> Position:
    """Say so where the result may know nothing."""
    metrics = kept_metrics(phase, position.history, position.phase)
    if val is not None and (told := no_better_than_chance(metrics, val)):
        reporter.say(f"{position.phase}: {told}")
    return position


def _open_run(request: Request) -> Position:
    """Where the run stands."""
    recipe, folder = request.recipe, request.folder
    plain = recipe.model_dump(mode="json", exclude_none=True)
    state = folder / STATE_NAME
    if not exists(state):
        if request.resume:
            raise CheckpointError(state, "no such file: there is nothing to resume; omit --resume")
        phase: Literal["float", "qat"] = "qat" if request.phases == "qat" or request.init else "float"
        return Position(phase=phase, recipe=plain, threads=torch.get_num_threads())
    position = read_position(state)
    if request.resume:
        if request.init is not None:
            raise UsageError("--resume goes on with the run in the folder; omit --init")
        if changed := _changed(_in_todays_keys(position.recipe), plain, ""):
            raise UsageError(f"{folder}: the recipe has changed since this run began: {changed}; choose another folder")
        return position
    if request.phases == "qat" and position.phase == "float" and request.init is None:
        return Position(
            phase="qat",
            history=position.history,
            recipe=plain,
            samples_sha256=position.samples_sha256,
            threads=torch.get_num_threads(),
        )
    raise UsageError(f"{folder}: holds a run; go on with it by --resume, or choose another folder")


def _require_same_samples(position: Position, training: Split, val: Split | None, folder: Path) -> None:
    """Refuse (UsageError) to go on with other images, labels or boxes: some held out now may have been trained on."""
    digest = hashlib.sha256()
    for split in (training, val):
        for sample in () if split is None else split.samples:
            told: object = sample.target.sha256() if isinstance(sample.target, BoxTarget) else sample.target
            told = told if isinstance(told, int | tuple | str) else ""
            digest.update(f"{sample.name}\t{told}\n".encode(errors="surrogateescape"))
        digest.update(b"\n")
    found = digest.hexdigest()
    if position.samples_sha256 not in (None, found):
        raise UsageError(
            f"{folder}: the images to train or validate on, or their labels or boxes, have changed since this run "
            "began; put them back, or choose another folder"
        )
    position.samples_sha256 = found


def _float_phase(run: _Run, position: Position, *, resume: bool) -> None:
    request = run.request
    job = float_job(request.recipe, run.training, run.val, run.reporter, run.kept)
    if request.phases == "all":
        job = replace(job, afterwards=afterwards_of(request.recipe, run.training))
    run.begin()
    run_phase(job, position, request.folder, run.reporter, resume=resume)


def _qat_phase(run: _Run, position: Position, *, resume: bool) -> None:
    request, recipe = run.request, run.request.recipe
    assert recipe.qat is not None  # a run reaches this phase only where the recipe has it
    parent = read_checkpoint(request.init or request.folder / FLOAT_NAME)
    _check_parent(request, parent)
    if position.parent_sha256 not in (None, parent.sha256):
        raise CheckpointError(request.folder / FLOAT_NAME, "is not the network that this run's QAT phase started from")
    position.parent_sha256 = parent.sha256
    check_fit(recipe, restore_module(parent), run.training, run.val, parent.scores)
    job = qat_job(recipe, recipe.qat, parent, run.training, run.val, run.reporter, run.kept, observe=not resume)
    run.begin()
    run_phase(job, position, request.folder, run.reporter, resume=resume)


def _check_parent(request: Request, parent: Checkpoint) -> None:
    where = request.init or request.folder / FLOAT_NAME
    if parent.kind != "float":
        raise CheckpointError(where, f"is a '{parent.kind}' checkpoint; QAT starts from a float one")
    if not parent.metrics.get("complete", True) and request.init is None:
        raise CheckpointError(where, "is of an unfinished float phase; finish it with --resume")
    if parent.recipe.model != request.recipe.model or parent.recipe.preprocess != request.recipe.preprocess:
        raise UsageError(f"{where}: was trained with another [model] or [preprocess] than the recipe's")


def _counted(split: Split) -> str:
    return f"{len(split)} images of {split.origin}"


def _in_todays_keys(recipe: dict[str, Any]) -> dict[str, Any]:
    """A saved recipe with the defaults of the keys that are newer than it; as it is where today's would refuse it."""
    try:
        return Recipe.model_validate_json(json.dumps(recipe)).model_dump(mode="json", exclude_none=True)
    except ValidationError:
        return recipe


def _changed(old: Any, new: Any, path: str) -> str | None:
    """The first key that differs, as `train.epochs: 3 -> 4`; where the data lie may change."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            inside = f"{path}.{key}" if path else key
            if inside not in ("data.root", "data.workers", "data.cache"):
                found = _changed(old.get(key), new.get(key), inside)
                if found:
                    return found
        return None
    return None if old == new else f"{path}: {old} -> {new}"
