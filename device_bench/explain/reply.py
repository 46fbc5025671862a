"""A device's answer about where a subject's time goes, as it is believed: types and lengths agree."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from device_bench.records.record_types import Count, Duration, Positive
from edge.strict import Strict

Times = Annotated[tuple[Duration, ...], Field(min_length=1, max_length=10_000)]
Words = Annotated[str, Field(max_length=4096)]


class TimedGroup(Strict):
    """Consecutive operators timed in turn, each one time a round; see `device_bench.agent.operator_times`."""

    parts_ns: Annotated[tuple[Times, ...], Field(min_length=1)] | None
    call_ns: Times | None
    again_ns: Annotated[tuple[Times, ...], Field(min_length=1)]
    again_call_ns: Times
    whole_ns: Times
    delegated: tuple[bool, ...]

    @property
    def states(self) -> list[tuple[tuple[Times, ...], Times]]:
        """Times of the operators and of a call, in every state in which they were taken."""
        after = [] if self.parts_ns is None or self.call_ns is None else [(self.parts_ns, self.call_ns)]
        return [*after, (self.again_ns, self.again_call_ns)]

    @model_validator(mode="after")
    def _same_rounds(self) -> "TimedGroup":
        if (self.parts_ns is None) != (self.call_ns is None):
            raise ValueError("operators and a call were not timed in the same states")
        for parts, call in self.states:
            if {len(times) for times in (*parts, call)} != {len(self.whole_ns)}:
                raise ValueError("an operator was not timed as often as the whole file")
            if len(parts) != len(self.delegated):
                raise ValueError("delegated is not told of every operator")
        return self


class TimedCopy(Strict):
    """Copies of one size, by so many threads; `ns` of `copies` of them, one a round."""

    bytes: Positive
    copies: Positive
    threads: Positive
    ns: Times


class ExplainedReply(Strict):
    """What `device_bench.agent.explain_parts.explained` answers; `missing`: why there is nothing else.

    Every one of `passes` times all operators, with sessions of its own.
    """

    missing: Words | None
    method: Words = ""
    passes: Annotated[tuple[tuple[TimedGroup, ...], ...], Field(min_length=2, max_length=100)] | None = None
    profile: Mapping[str, Any] | None = None
    peaks_ns: Mapping[Words, Times] = Field(default_factory=dict)
    refused: Mapping[Words, Words] = Field(default_factory=dict)
    copies: tuple[TimedCopy, ...] = ()
    threads_ns: Mapping[Annotated[str, Field(pattern=r"^[1-9][0-9]{0,3}$")], Times] = Field(default_factory=dict)
    empty_ns: Count = 0
    delegated: tuple[bool, ...] | None = None
    partitions: Count | None = None
