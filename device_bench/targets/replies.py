"""What a target answers, as it is believed: types, lengths and texts hold, or it is refused in one line."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from device_bench.records.machine import Machine
from device_bench.records.machine_state import MachineState
from device_bench.targets.target import Target
from edge.errors import EngineError, one_line
from edge.strict import Strict, first_problem

MAX_TEXT = 4096
MAX_DEPTH = 12
MOST_NAMES = 64
Names = Annotated[tuple[str, ...], Field(max_length=MOST_NAMES)]
Model = TypeVar("Model", bound=BaseModel)


class ProbeReply(Strict):
    """What a target says it is. folder, agents: of a device over SSH, where our agent lies."""

    engines: Names
    machine: Machine
    state: MachineState
    python: str | None = None
    numpy: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    folder: str | None = None
    agents: tuple[str, ...] = ()


def probed(target: Target) -> ProbeReply:
    """Ask a target what it is. Refuses (EngineError) an answer that does not hold."""
    return believed(ProbeReply, target.probe(), target.name)


def believed(model: type[Model], reply: Mapping[str, Any], where: str) -> Model:
    """An answer as a model's fields. Refuses (EngineError) one that does not hold, with its first wrong field.

    Args:
        where: opens the message.
    """
    _check_texts(reply, where, 0)
    try:
        return model.model_validate_json(json.dumps(reply))
    except ValidationError as error:
        problem = first_problem(error, model)
    except (ValueError, TypeError) as error:
        problem = str(error)
    raise EngineError(one_line(f"{where}: its answer does not hold: {problem}"))


def _check_texts(value: Any, where: str, depth: int) -> None:
    """Refuse texts that are long or cannot be printed, anywhere in an answer: they reach a person's terminal."""
    if depth > MAX_DEPTH:
        raise EngineError(f"{where}: its answer is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        if len(value) > MAX_TEXT or not value.isprintable():
            raise EngineError(one_line(f"{where}: its answer holds the text {value[:80]!r}"))
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            _check_texts(name, where, depth + 1)
            _check_texts(entry, where, depth + 1)
    elif isinstance(value, list | tuple) and not all(type(entry) is int for entry in value):
        for entry in value:
            _check_texts(entry, where, depth + 1)
