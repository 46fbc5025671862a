"""A device's answer about ONNX Runtime's profile, as it is believed: types and lengths agree."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from device_bench.records.record_types import Count, Duration
from edge.errors import EngineError, one_line
from edge.strict import Strict, first_problem

CHAINS = 3
MOST_TENSORS = 10_000
MOST_NODES = 20_000
Name = Annotated[str, Field(max_length=4096)]
Times = Annotated[tuple[Annotated[Duration, Field(gt=0)], ...], Field(min_length=2)]


class ProfiledNode(Strict):
    """An executed node; see `device_bench.agent.onnx_profile`."""

    name: Name
    op_type: Name
    provider: Name
    dtype: Name
    bytes_moved: Count
    tensors: Annotated[int, Field(ge=0, le=MOST_TENSORS)]
    inputs: tuple[Name, ...]
    outputs: tuple[Name, ...]
    durations_ns: tuple[Duration, ...]


class ProfiledFile(Strict):
    """A file's runs, one time a round."""

    whole_ns: Times
    profiled_whole_ns: Times
    nodes: Annotated[tuple[ProfiledNode, ...], Field(min_length=1, max_length=MOST_NODES)]

    @model_validator(mode="after")
    def _same_rounds(self) -> "ProfiledFile":
        rounds = len(self.whole_ns)
        if len(self.profiled_whole_ns) != rounds or any(len(node.durations_ns) != rounds for node in self.nodes):
            raise ValueError(f"{rounds} rounds of the whole, others of its nodes")
        return self


class Profiled(ProfiledFile):
    """The model, and the chains that tell what the profile costs."""

    chains: Annotated[tuple[ProfiledFile, ...], Field(min_length=CHAINS, max_length=CHAINS)]

    @model_validator(mode="after")
    def _growing(self) -> "Profiled":
        if any(len(chain.nodes) <= len(self.chains[0].nodes) for chain in self.chains[1:]):
            raise ValueError("chains that are no longer than a single node")
        return self


def read_profiled(reply: Mapping[str, Any]) -> Profiled:
    """The answer's `nodes`, `whole_ns`, `profiled_whole_ns` and `chains`.

    Raises:
        EngineError: one of them is missing or of another form.
    """
    try:
        return Profiled.model_validate({name: _frozen(reply.get(name)) for name in Profiled.model_fields})
    except RecursionError as error:
        raise EngineError("onnxruntime: the answer about its profile is damaged: it is nested too deep") from error
    except ValidationError as error:
        problem = first_problem(error, Profiled)
        raise EngineError(one_line(f"onnxruntime: the answer about its profile is damaged: {problem}")) from error


def _frozen(value: Any) -> Any:
    """JSON's lists as tuples."""
    if isinstance(value, list):
        return tuple(_frozen(part) for part in value)
    if isinstance(value, Mapping):
        return {key: _frozen(part) for key, part in value.items()}
    return value
