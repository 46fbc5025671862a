"""Where a model's time goes: what `edge bench --explain` found, as data that a record carries and a report draws."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from device_bench.record_parts import Count, Strict

Share = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Peaks(Strict):
    """The most that this machine was measured to do with this engine and these threads.

    Attributes:
        int8_multiply_adds_per_s, float_multiply_adds_per_s: the rate of a large 1x1 convolution; None where none was
            timed.
        bandwidth_bytes_per_s: bytes read and written per second by a large copy.
        how: for each figure, what was measured.
    """

    int8_multiply_adds_per_s: Positive | None
    float_multiply_adds_per_s: Positive | None
    bandwidth_bytes_per_s: Positive
    how: dict[str, str]


class ExplainedOperator(Strict):
    """One operator, or several that the runtime runs as one.

    Attributes:
        names: of the file's operators, in order; kind: of the one with the most multiply-adds.
        precision: dtype of its first output.
        multiply_adds: None where one of them has no counting rule. bytes: inputs, constants and outputs, each once.
        time_ns: as measured; by differences it can fall below 0 by noise. low_ns, high_ns: 95 % interval, None where
            the method gives none.
        share_time: of `whole_ns`. share_multiply_adds: of all; None without a count.
        intensity: multiply-adds per byte. bound: what limits it by the roofline, None where no peak was measured.
        attainable: its rate as a fraction of what the roofline allows; None where its interval reaches 0.
    """

    names: Annotated[tuple[str, ...], Field(min_length=1)]
    kind: str
    precision: str
    multiply_adds: Count | None
    bytes: Count
    time_ns: int
    low_ns: int | None
    high_ns: int | None
    share_time: Share
    share_multiply_adds: Share | None
    intensity: Share | None
    bound: Literal["compute", "memory"] | None
    attainable: Share | None


class Reason(Strict):
    """Why time is lost: a name, what was seen, and the share of the whole time it was measured to take."""

    name: str
    sentence: str
    share_time: Share


class Change(Strict):
    """What would pay: the change, the share of the whole time it is estimated to save, and how that was derived."""

    sentence: str
    gain: Share
    how: str


class Explanation(Strict):
    """All of it.

    Attributes:
        method: `measured-prefixes`: differences of medians over the file's beginnings; `onnxruntime-profile`: the
            runtime's own times of the nodes that it executes, less what the profile costs in them.
        whole_ns: median time of the whole file, timed in turn with its beginnings or with its profiled runs.
        profiled_whole_ns: the same with the profile on; None for the other method.
        unexplained_ns: `whole_ns` less the operators' times. As differences these sum to the last beginning's time, so
            it checks the file's own time against its copy's, not one operator's time against another's.
        changes: the best first, at most three; fewer where fewer follow from the measurement.
    """

    method: Literal["measured-prefixes", "onnxruntime-profile"]
    engine: str
    whole_ns: Annotated[int, Field(gt=0)]
    profiled_whole_ns: Annotated[int, Field(gt=0)] | None = None
    operators: Annotated[tuple[ExplainedOperator, ...], Field(min_length=1)]
    unexplained_ns: int
    peaks: Peaks
    reasons: tuple[Reason, ...]
    changes: Annotated[tuple[Change, ...], Field(max_length=3)]

    @model_validator(mode="after")
    def _adds_up(self) -> "Explanation":
        if sum(operator.time_ns for operator in self.operators) + self.unexplained_ns != self.whole_ns:
            raise ValueError("operators and unexplained_ns do not sum to whole_ns")
        for operator in self.operators:
            if not math.isclose(operator.share_time, operator.time_ns / self.whole_ns, rel_tol=1e-9, abs_tol=1e-12):
                raise ValueError(f"share_time of {operator.names[0]} does not follow from its time")
        return self
