"""The resume state of a run: everything from which training goes on as if it had never stopped.

Random numbers are not in it: each step's follow from (seed, step), see `edge.training.loop`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from edge.errors import CheckpointError
from edge.training.average import Average
from edge.training.network import load_tensors
from edge.training.tensor_file import read_tensors, write_tensors

FORMAT = "edge training state"
VERSION = 1
PhaseName = Literal["float", "qat"]


@dataclass(kw_only=True)
class Position:
    """Where a run stands. This one changes as training goes on.

    Attributes:
        phase: `float` or `qat`.
        epoch, batch: the next batch to train on; epoch = epochs of the phase: it is done.
        loss_sum, loss_count: of the epoch so far.
        history: one entry per finished epoch of the run, as written to metrics.jsonl.
        recipe: the resolved recipe, as plain data.
        parent_sha256: hash of the checkpoint that the phase started from.
        threads: torch's threads, because sums depend on them.
    """

    phase: PhaseName
    epoch: int = 0
    batch: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    recipe: dict[str, Any]
    parent_sha256: str | None = None
    threads: int = 1


def write_state(
    path: Path, position: Position, model: nn.Module, optimizer: torch.optim.Optimizer, average: Average | None
) -> None:
    """Write the state atomically."""
    tensors: dict[str, Tensor] = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    if average is not None:
        tensors.update({f"average.{name}": tensor for name, tensor in average.tensors.items()})
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if value is not None:
                tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "position": vars(position),
        "average_updates": average.updates if average is not None else None,
    }
    # Two names for one tensor (tied parameters) are written twice: the file knows no aliases.
    write_tensors(path, {name: tensor.clone() for name, tensor in tensors.items()}, content)


def read_position(path: Path) -> Position:
    """Where a saved run stands. Refuses (CheckpointError) a file that is no resume state, or is damaged."""
    return _open(path)[1]


def load_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: Average | None) -> Position:
    """Put model, optimizer and average back to a saved state.

    Raises:
        CheckpointError: not a resume state, damaged, or of another network or optimizer.
    """
    tensors, position, updates = _open(path)
    load_tensors(model, _part(tensors, "model."), f"{path}: state")
    saved: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _part(tensors, "optimizer.").items():
        index, _, key = name.partition(".")
        saved.setdefault(int(index), {})[key] = tensor
    described = optimizer.state_dict()
    if any(index >= sum(len(group["params"]) for group in described["param_groups"]) for index in saved):
        raise CheckpointError(path, "its optimizer state is of another network")
    optimizer.load_state_dict({"state": saved, "param_groups": described["param_groups"]})
    if average is not None:
        averaged = _part(tensors, "average.")
        if averaged.keys() != average.tensors.keys() or updates is None:
            raise CheckpointError(path, "holds no average of this network; was it written with ema_decay = 0?")
        average.restore(averaged, updates)
    return position


def _open(path: Path) -> tuple[dict[str, Tensor], Position, int | None]:
    tensors, content, _ = read_tensors(path)
    if content.get("format") != FORMAT or content.get("version") != VERSION:
        raise CheckpointError(path, f"is not a resume state: it holds '{content.get('format')}'")
    try:
        return tensors, Position(**content["position"]), content["average_updates"]
    except (KeyError, TypeError) as error:
        raise CheckpointError(path, f"is not a resume state: {error}") from error


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
