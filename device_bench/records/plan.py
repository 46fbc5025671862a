"""How a measurement is made: what is repeated, how often and in which order."""

from typing import Literal

from pydantic import Field, model_validator

from device_bench.records.record_types import Count, Duration, Positive
from edge.strict import Strict

Scenario = Literal["single-stream", "multi-stream", "offline"]


class Plan(Strict):
    """A measurement plan.

    The subjects (model file and engine) are measured in `rounds`: in every round each one, in turn (A B A B ...), gets
    one block, so that a slow change of the machine meets all of them alike. A block opens with one unmeasured query,
    which brings the subject's weights back into the caches, and ends when its share of `min_runs` and of
    `min_duration_ns` is reached, or its share of `max_runs`.

    Attributes:
        scenario: by MLPerf's names. `single-stream`: a query is one sample, the next follows when it is answered.
            `multi-stream`: a query is `streams` samples, its latency lasts until all of them are answered. `offline`:
            a query is `samples` samples, and the throughput is what counts.
        threads: threads that the engine may use.
        affinity: processors that the measuring process is bound to; None leaves it to the system.
        kernels: kernel set asked of every engine that names none itself; None is the engine's default.
        warmup_runs, warmup_duration_ns: unmeasured queries before the first round: at least so many, at least so long,
            and then until the running median is stable, but not longer than `max_warmup_duration_ns`.
        min_runs, max_runs: measured queries of one subject, over all rounds.
        min_duration_ns: sum of the measured queries of one subject.
        batch, input_shapes: sizes that bare ONNX files leave open: an open first dimension (None: 1), and whole inputs.
        end_to_end: measure the stages from an encoded picture to the answer too.
        selftest: False measures without proving that the runtime computes the right thing.
        explain: find out where the time goes too, after the measurement.
    """

    scenario: Scenario = "single-stream"
    streams: Positive = 1
    samples: Positive = 1
    threads: Positive = 1
    affinity: tuple[Count, ...] | None = None
    kernels: str | None = None
    rounds: Positive = 10
    warmup_runs: Positive = 10
    warmup_duration_ns: Duration = 500_000_000
    max_warmup_duration_ns: Duration = 5_000_000_000
    min_runs: Positive = 50
    min_duration_ns: Duration = 2_000_000_000
    max_runs: Positive = 20_000
    batch: Positive | None = None
    input_shapes: dict[str, tuple[Positive, ...]] = Field(default_factory=dict)
    end_to_end: bool = False
    selftest: bool = True
    explain: bool = False

    @property
    def samples_per_query(self) -> int:
        """Inferences behind one measured latency."""
        return {"single-stream": 1, "multi-stream": self.streams, "offline": self.samples}[self.scenario]

    @property
    def conditions(self) -> str:
        """What figures must agree in to be compared: `single-stream`, `offline, batch 4`."""
        return ", ".join(part for part in (self.scenario, self.sizes) if part)

    @property
    def sizes(self) -> str:
        """The sizes that were given, for a person: `batch 4, x 1x3x48x192`; nothing where none were."""
        batch = () if self.batch is None else (f"batch {self.batch}",)
        shapes = (f"{name} {'x'.join(map(str, shape))}" for name, shape in sorted(self.input_shapes.items()))
        return ", ".join((*batch, *shapes))

    @model_validator(mode="after")
    def _holds_together(self) -> "Plan":
        if self.max_runs < self.min_runs:
            raise ValueError(f"max_runs {self.max_runs} is below min_runs {self.min_runs}")
        if self.streams != 1 and self.scenario != "multi-stream":
            raise ValueError(f"streams {self.streams} belong to the scenario multi-stream, not {self.scenario}")
        if self.samples != 1 and self.scenario != "offline":
            raise ValueError(f"samples {self.samples} belong to the scenario offline, not {self.scenario}")
        if self.affinity is not None and len(set(self.affinity)) != max(len(self.affinity), 1):
            raise ValueError(f"affinity {list(self.affinity)} names no processor, or one twice")
        return self
