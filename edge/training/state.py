"""The resume state of a run: everything from which training goes on as if it had never stopped.

Random numbers are not in it: each step's follow from (seed, step), see `edge.training.loop`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, TypeAdapter, ValidationError
from torch import Tensor, nn

from edge.errors import CheckpointError, EdgeError
from edge.strict import Strict, first_problem
from edge.training.average import Average
from edge.training.network import load_tensors
from edge.training.tensor_file import read_tensors, write_tensors

FORMAT = "edge training state"
VERSION = 1
PhaseName = Literal["float", "qat"]


Count = Annotated[int, Field(ge=0, lt=2**63)]
# optimizer -> the tensors that it keeps of every parameter that it has moved
KEPT: Mapping[type[torch.optim.Optimizer], frozenset[str]] = MappingProxyType(
    {
        torch.optim.SGD: frozenset({"momentum_buffer"}),
        torch.optim.AdamW: frozenset({"step", "exp_avg", "exp_avg_sq"}),
    }
)


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
        samples_sha256: hash of the names and labels of what is trained and validated on; None: not known.
        threads: torch's threads, because sums depend on them.
    """

    __pydantic_config__ = Strict.model_config

    phase: PhaseName
    epoch: Count = 0
    batch: Count = 0
    loss_sum: float = 0.0
    loss_count: Count = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    recipe: dict[str, Any]
    parent_sha256: str | None = None
    samples_sha256: str | None = None
    threads: Annotated[int, Field(ge=1, le=4096)] = 1


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
    try:
        load_tensors(model, _part(tensors, "model."), "its state")
    except EdgeError as error:
        raise CheckpointError(path, str(error)) from error
    saved = _optimizer_state(path, _part(tensors, "optimizer."), optimizer)
    optimizer.load_state_dict({"state": saved, "param_groups": optimizer.state_dict()["param_groups"]})
    if average is not None:
        averaged = _part(tensors, "average.")
        if averaged.keys() != average.tensors.keys() or updates is None:
            raise CheckpointError(path, "holds no average of this network; was it written with ema_decay = 0?")
        average.restore(averaged, updates)
    return position


def _optimizer_state(
    path: Path, tensors: dict[str, Tensor], optimizer: torch.optim.Optimizer
) -> dict[int, dict[str, Tensor]]:
    """What an optimizer kept, by parameter; held to the parameters' shapes."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    saved: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        if not index.isdecimal() or len(index) > 9 or int(index) >= len(parameters):
            raise CheckpointError(path, f"its optimizer state is of another network: 'optimizer.{name}'")
        saved.setdefault(int(index), {})[key] = tensor
    for place, kept in saved.items():
        shapes = {tuple(tensor.shape) for key, tensor in kept.items() if key != "step"}
        if kept.keys() != KEPT[type(optimizer)] or shapes != {tuple(parameters[place].shape)}:
            raise CheckpointError(
                path, f"its optimizer state does not fit parameter {place}: {', '.join(sorted(kept))}"
            )
        for key in kept.keys() - {"step"}:  # in memory as the parameter is: fused optimizers go through both at once
            kept[key] = torch.empty_like(parameters[place], requires_grad=False).copy_(kept[key])
    return saved


def _open(path: Path) -> tuple[dict[str, Tensor], Position, int | None]:
    tensors, content, _ = read_tensors(path)
    if content.get("format") != FORMAT or content.get("version") != VERSION:
        raise CheckpointError(path, f"is not a resume state: it holds '{content.get('format')}'")
    try:
        position = TypeAdapter(Position).validate_json(json.dumps(content["position"]))
        updates = TypeAdapter(Count | None).validate_python(content["average_updates"], strict=True)
    except KeyError as error:
        raise CheckpointError(path, f"is not a resume state: {error} is missing") from error
    except RecursionError as error:
        raise CheckpointError(path, "is not a resume state: it is nested too deep") from error
    except ValidationError as error:
        raise CheckpointError(path, f"is not a resume state: {first_problem(error, Position)}") from error
    return tensors, position, updates


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
