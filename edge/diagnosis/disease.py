"""What a disease is, and what is found of one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from edge.diagnosis.patient import Patient

State = Literal["healthy", "sick", "not judged"]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What an examination for one disease found.

    Attributes:
        evidence: one line for a person, with the figures; of `not judged` what is needed.
        data: the figures, JSON-ready; keys carry units.
        layer: the operator at fault; '' for the whole network. cure: what to do, in words.
        command: the cure as one line of a shell, with what was given filled in and names in capitals for what was not;
            '' where no command cures, which `cure` then says.
    """

    state: State
    evidence: str
    data: Mapping[str, Any] = field(default_factory=dict)
    layer: str = ""
    cure: str = ""
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class Disease:
    """One row of the table of diseases (`edge.diagnosis.table`).

    Attributes:
        about: what it is and what it costs, one sentence.
        needs: what must be given for a judgement, in words; '' where the model alone suffices.
        after: diseases whose presence makes this one's evidence worthless: it is then not judged.
    """

    name: str
    about: str
    examine: Callable[[Patient], Found]
    needs: str = ""
    after: tuple[str, ...] = ()


def healthy(evidence: str, **data: Any) -> Found:
    """No sign of the disease."""
    return Found(state="healthy", evidence=evidence, data=data)


def sick(evidence: str, *, cure: str, command: str = "", layer: str = "", **data: Any) -> Found:
    """The disease is there."""
    return Found(state="sick", evidence=evidence, data=data, layer=layer, cure=cure, command=command)


def not_judged(reason: str, **data: Any) -> Found:
    """What was given does not decide."""
    return Found(state="not judged", evidence=f"cannot be judged: {reason}", data=data)
