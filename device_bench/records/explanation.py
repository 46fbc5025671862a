"""Where a model's time goes: what `edge bench --explain` found, as data that a record carries and a report draws."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from device_bench.records.record_types import Count, Positive, Whole
from edge.strict import Strict

Rate = Annotated[float, Field(gt=0)]


class Bandwidth(Strict):
    """Bytes read and written per second by a copy whose source and target are together `working_set_bytes`."""

    working_set_bytes: Positive
    bytes_per_s: Rate


class Peaks(Strict):
    """The most that this machine was measured to do with this engine and these threads.

    Attributes:
        int8_multiply_adds_per_s, float_multiply_adds_per_s: the rate of a large 1x1 convolution, or of an operator of
            the model that is certainly faster; None where none was timed.
        bandwidths: by growing working set: those that caches hold, and the last one from memory.
        how: for each figure, what was measured.
    """

    int8_multiply_adds_per_s: Rate | None
    float_multiply_adds_per_s: Rate | None
    bandwidths: Annotated[tuple[Bandwidth, ...], Field(min_length=1)]
    how: dict[str, str]

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """From memory."""
        return self.bandwidths[-1].bytes_per_s

    def bandwidth_for(self, size_bytes: int) -> float:
        """Bytes per second for an operator that moves so many: of the smallest working set that holds them."""
        fitting = (entry.bytes_per_s for entry in self.bandwidths if entry.working_set_bytes >= size_bytes)
        return next(fitting, self.bandwidth_bytes_per_s)

    @model_validator(mode="after")
    def _in_order(self) -> "Peaks":
        sizes = [entry.working_set_bytes for entry in self.bandwidths]
        if sizes != sorted(set(sizes)):
            raise ValueError("bandwidths are not in order of their working sets")
        return self


class ExplainedOperator(Strict):
    """One operator, or several that the runtime runs as one.

    Attributes:
        names: of the file's operators, in order; kind: of the one with the most multiply-adds.
        precision: dtype of its first output.
        multiply_adds: None where one of them has no counting rule. bytes: inputs, constants and outputs, each once.
        time_ns: as measured; by differences it can fall below 0 by noise. low_ns, high_ns: 95 % interval, None where
            the method gives none.
        share_time: of `whole_ns`. share_multiply_adds: of all; None without a count.
        intensity: multiply-adds per byte. bound: what limits it by the roofline, None where no peak was measured; the
            memory's roof is that of the caches that could hold its bytes.
        attainable: its rate as a fraction of what the roofline allows; None where its interval reaches 0 or is wider
            than half its time.
    """

    names: Annotated[tuple[str, ...], Field(min_length=1)]
    kind: str
    precision: str
    multiply_adds: Count | None
    bytes: Count
    time_ns: Whole
    low_ns: Whole | None
    high_ns: Whole | None
    delegated: bool | None = None
    share_time: float
    share_multiply_adds: float | None
    intensity: float | None
    bound: Literal["compute", "memory"] | None
    attainable: float | None


class Reason(Strict):
    """Why time is lost: a name, what was seen, and the share of the whole time it was measured to take."""

    name: str
    sentence: str
    share_time: float


class Change(Strict):
    """What would pay: the change, the share of the whole time it is estimated to save, and how that was derived."""

    sentence: str
    gain: float
    how: str


class Explanation(Strict):
    """All of it.

    Attributes:
        method: `measured-operators`: each as a model of its own, run after the whole; `onnxruntime-profile`: the
            runtime's own times of the nodes that it executes, less what the profile costs in them.
        threads: that the engine used.
        whole_ns: median time of the whole file, timed in turn with its operators or with its profiled runs; without
            handing over inputs and outputs.
        threads_ns: median times of the whole file with other numbers of threads, timed in turn with each other.
        partitions: parts of the file that a delegate runs; None where the runtime does not say.
        profiled_whole_ns: the same with the profile on; None for the other method.
        unexplained_ns: `whole_ns` less the operators' times: the two are measured apart, so it checks the method.
        changes: the best first, at most three; fewer where fewer follow from the measurement.
    """

    method: Literal["measured-operators", "onnxruntime-profile"]
    engine: str
    threads: Positive
    whole_ns: Positive
    profiled_whole_ns: Positive | None = None
    operators: Annotated[tuple[ExplainedOperator, ...], Field(min_length=1)]
    unexplained_ns: Whole
    threads_ns: dict[str, Positive] = Field(default_factory=dict)
    partitions: Count | None = None
    peaks: Peaks
    reasons: tuple[Reason, ...]
    changes: Annotated[tuple[Change, ...], Field(max_length=3)]

    @property
    def unexplained_words(self) -> str:
        """What the operators' times leave over of the whole, or how far they exceed it, in microseconds and percent."""
        share, microseconds = abs(self.unexplained_ns) / self.whole_ns, abs(self.unexplained_ns) / 1e3
        if self.unexplained_ns < 0:
            return f"its operators alone together take {microseconds:.0f} us ({share:.1%}) longer"
        return f"{microseconds:.0f} us ({share:.1%}) in no operator"

    @model_validator(mode="after")
    def _adds_up(self) -> "Explanation":
        if sum(operator.time_ns for operator in self.operators) + self.unexplained_ns != self.whole_ns:
            raise ValueError("operators and unexplained_ns do not sum to whole_ns")
        for operator in self.operators:
            if not math.isclose(operator.share_time, operator.time_ns / self.whole_ns, rel_tol=1e-9, abs_tol=1e-12):
                raise ValueError(f"share_time of {operator.names[0]} does not follow from its time")
        return self
