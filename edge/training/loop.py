"""One phase of training, from wherever it stands to its end.

Every random number of a step follows from (seed, step), and the state written to disk holds everything else, so a run
that was killed at any point goes on with the losses that it would have had.
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edge.errors import EdgeError
from edge.files import atomic
from edge.recipe.recipe import Phase
from edge.training.average import Average
from edge.training.batches import Batch, Batches
from edge.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from edge.training.optimizer import build_optimizer, set_learning_rate
from edge.training.progress import Reporter, epoch_line
from edge.training.remaining import NOTHING, Afterwards, Remaining
from edge.training.result import best_of, evaluations, is_over
from edge.training.schedule import learning_rate
from edge.training.state import Position, load_state, write_state

STATE_NAME = "last.safetensors"
METRICS_NAME = "metrics.jsonl"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A phase to run.

    Attributes:
        result_name: the file that the result is written to.
        model: what is trained; it is changed.
        loss: the loss of a batch, a scalar; called in training mode.
        begin: prepares the first weights; called unless a saved state brings them.
        begin_epoch: called before the first step of each epoch, and after a resume inside one, with its number.
        evaluate: the metrics of the tensors so far; called every `eval_epochs` epochs and after the last.
        checkpoint: the checkpoint of these tensors with these metrics.
        afterwards: what follows the phase, for an estimate of the time.
    """

    phase: Phase
    result_name: str
    model: nn.Module
    batches: Batches
    loss: Callable[[Batch], Tensor]
    begin: Callable[[], None]
    begin_epoch: Callable[[int], None]
    evaluate: Callable[[Mapping[str, Tensor]], Mapping[str, Any]]
    checkpoint: Callable[[Mapping[str, Tensor], Mapping[str, Any]], Checkpoint]
    afterwards: Afterwards = NOTHING


def run_phase(job: Job, position: Position, folder: Path, reporter: Reporter, *, resume: bool) -> None:
    """Train a phase to its end, writing the resume state and metrics.jsonl in `folder` as it goes.

    Args:
        position: where the run stands; moved on. With `resume` the rest of the state is read from `folder`.

    Raises:
        EdgeError: the loss or a weight is no longer a finite number.
    """
    phase, remaining = job.phase, Remaining(job.phase, job.batches.per_epoch, job.afterwards)
    if not resume:
        job.begin()
    optimizer = build_optimizer(job.model, phase)
    average = Average(job.model, phase.ema_decay) if phase.ema_decay > 0 else None
    if resume:
        load_state(folder / STATE_NAME, job.model, optimizer, average)
        write_history(folder, position)
    job.model.train()

    def save() -> None:
        write_state(folder / STATE_NAME, position, job.model, optimizer, average)

    if (phase.keep == "best" or phase.epochs == 0) and not resume:
        start = {"phase": position.phase, "epoch": 0, "step": 0, "loss": None, "seconds": 0}
        _finish(job, position, folder, job.model.state_dict(), start, reporter, remaining)
        write_history(folder, position)
        job.model.train()
    while position.epoch < phase.epochs and not is_over(phase, position.history, position.phase):
        started = time.monotonic()
        job.begin_epoch(position.epoch)
        _train_epoch(job, position, optimizer, average, reporter, save, remaining)
        seconds = time.monotonic() - started
        done = position.epoch + 1
        entry: dict[str, Any] = {
            "phase": position.phase,
            "epoch": done,
            "step": done * job.batches.per_epoch,
            "loss": position.loss_sum / max(1, position.loss_count),
            "learning_rate": optimizer.param_groups[0]["lr"] / optimizer.param_groups[0]["rate"],
            "seconds": round(seconds, 3),
        }
        if done % phase.eval_epochs == 0 or done == phase.epochs:
            tensors = average.tensors if average is not None else job.model.state_dict()
            _require_finite(tensors, done)
            _finish(job, position, folder, tensors, entry, reporter, remaining)
            job.model.train()
        else:
            position.history.append(entry)
            reporter.say(epoch_line(entry, remaining.told(done, 0)))
        position.epoch, position.batch, position.loss_sum, position.loss_count = done, 0, 0.0, 0
        save()
        write_history(folder, position)


def _finish(
    job: Job,
    position: Position,
    folder: Path,
    tensors: Mapping[str, Tensor],
    entry: dict[str, Any],
    reporter: Reporter,
    remaining: Remaining,
) -> None:
    """Evaluate, add the entry to the history, and write what is to be the phase's result if it ended here."""
    remaining.begun()
    metrics: dict[str, Any] = {"epoch": entry["epoch"], "complete": False, **job.evaluate(tensors)}
    remaining.evaluated()
    entry["val"] = metrics
    position.history.append(entry)
    reporter.say(epoch_line(entry, remaining.told(entry["epoch"], 0)))
    over = metrics["complete"] = is_over(job.phase, position.history, position.phase)
    path = folder / job.result_name
    if job.phase.keep == "last":
        write_checkpoint(path, job.checkpoint(tensors, metrics))
        return
    entries = evaluations(position.history, position.phase)
    best = entries[best_of(entries)]
    if best is entry:
        write_checkpoint(path, job.checkpoint(tensors, metrics))
    elif over:  # the file is of an epoch before which nobody knew that no better one would come
        kept = read_checkpoint(path)
        write_checkpoint(path, replace(kept, metrics={**kept.metrics, "complete": True}))
    if over:
        write_checkpoint(folder / last_name(job.result_name), job.checkpoint(tensors, metrics))
        reporter.say(
            f"{position.phase}: kept epoch {best['epoch']}, the best on val; the last is epoch {entry['epoch']}"
        )


def last_name(result_name: str) -> str:
    """The file of a phase's last weights, where its result are the best."""
    return result_name.replace(".", "_last.", 1)


def write_history(folder: Path, position: Position) -> None:
    """Write metrics.jsonl: one JSON object per finished epoch of the run."""
    atomic.write_text(folder / METRICS_NAME, "".join(json.dumps(entry) + "\n" for entry in position.history))


def seed_step(seed: int, step: int) -> None:
    """Seed torch for one step (dropout)."""
    state = np.random.SeedSequence((seed, step)).generate_state(2, dtype=np.uint32)
    torch.manual_seed(int(state[0]) << 16 ^ int(state[1]))


def _require_finite(tensors: Mapping[str, Tensor], epoch: int) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise EdgeError(f"'{name}' is no longer finite after epoch {epoch}; lower learning_rate")


def _train_epoch(
    job: Job,
    position: Position,
    optimizer: torch.optim.Optimizer,
    average: Average | None,
    reporter: Reporter,
    save: Callable[[], None],
    remaining: Remaining,
) -> None:
    phase, per_epoch = job.phase, job.batches.per_epoch
    reporter.start(f"{position.phase} epoch {position.epoch + 1}/{phase.epochs}", per_epoch, position.batch)
    remaining.begun()
    for batch in job.batches.epoch(position.epoch, position.batch):
        step = position.epoch * per_epoch + position.batch
        seed_step(phase.seed, step)
        set_learning_rate(optimizer, learning_rate(phase, step, per_epoch))
        optimizer.zero_grad(set_to_none=True)
        loss = job.loss(batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise EdgeError(f"the loss is {value} at step {step} (epoch {position.epoch + 1}); lower learning_rate")
        loss.backward()  # type: ignore[no-untyped-call]  # torch's stub
        if phase.gradient_clip is not None:
            nn.utils.clip_grad_norm_(job.model.parameters(), phase.gradient_clip)
        optimizer.step()
        if average is not None:
            average.update(job.model)
        position.batch += 1
        position.loss_sum += value
        position.loss_count += 1
        remaining.stepped()
        told = (f"loss {position.loss_sum / position.loss_count:.4f}", remaining.told(position.epoch, position.batch))
        reporter.advance(1, ", ".join(filter(None, told)))
        if (step + 1) % phase.state_steps == 0 and position.batch < per_epoch:
            save()
