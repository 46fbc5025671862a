"""The parts of a record: what was measured, what ran it, and what was seen beside the latency."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from device_bench.records.percentiles import Latency
from device_bench.records.record_types import Count, Duration, Positive
from edge.percentile import nearest_rank
from edge.strict import Strict

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Samples = tuple[Duration, ...]
Precision = Literal["int8", "uint8", "int16x8", "float32", "float16"]
STAGES = ("decode", "resize", "quantize", "infer", "postprocess")


class TargetUsed(Strict):
    """Where it ran: `local`, `ssh`, `adb`, `emulated-arm64`. `name` leads there; `agent_sha256` pins the code there."""

    kind: str
    name: str
    agent_sha256: Sha256 | None = None


class MeasuredAccuracy(Strict):
    """An accuracy that the artifact's manifest states for this file, in [0, 1]."""

    metric: str
    value: Annotated[float, Field(ge=0, le=1)]
    split: str
    images: Count


class PublishedAccuracy(Strict):
    """What a float network of the same arguments reached where it was published; an untrained one reaches nothing."""

    metric: str
    value: Annotated[float, Field(ge=0, le=1)]
    source: str


class Measured(Strict):
    """What was measured. `manifest_sha256` pins every byte of the artifact, `file_sha256` the model file that ran.

    A bare model file has no manifest: what the file itself does not say is None. `candidate`: of `edge models --fit`,
    an untrained network; `published` is then what is known of networks like it.
    """

    name: str
    manifest_sha256: Sha256 | None
    file: str
    file_sha256: Sha256
    size_bytes: Count
    precision: Precision | None
    task: str | None = None
    multiply_adds: Count | None = None
    parameters: Count | None = None
    weights_bytes: Count | None = None
    peak_activation_bytes: Count | None = None
    unruled: tuple[str, ...] = ()
    accuracy: tuple[MeasuredAccuracy, ...] = ()
    candidate: bool = False
    published: PublishedAccuracy | None = None


class InputFed(Strict):
    """An input of the model and what it was fed: a sample of the self-test, random values, or 0 and 1 (indices)."""

    name: str
    shape: tuple[Count, ...]
    dtype: str
    values: Literal["self-test", "random", "0 and 1"]


class EngineUsed(Strict):
    """What really ran it: the fields of `edge.engines.engine.EngineInfo`.

    Attributes:
        package, wheel_tag: of the runtime. kernels_isa: the instruction set that its kernels chose, where known.
        affinity: processors that the process was bound to. device: name of the GPU. precision: that it computed in.
    """

    engine: str
    version: str
    kernels: str
    delegate: str | None
    operators: Count | None
    delegated_operators: Count | None
    threads: Count
    machine: str | None = None
    emulated: str | None = None
    package: str | None = None
    wheel_tag: str | None = None
    kernels_isa: str | None = None
    affinity: tuple[Count, ...] | None = None
    provider_options: dict[str, str] = Field(default_factory=dict)
    device: str | None = None
    precision: str | None = None


class Aggregates(Strict):
    """What a tool that keeps no single runs prints of one of its processes. The last three: where it prints them.

    The figures are as exact as the tool's print; a percentile that it does not print is nowhere in a record.
    """

    runs: Positive
    min_ns: Duration
    mean_ns: Duration
    max_ns: Duration
    std_ns: Count
    p5_ns: Count | None = None
    median_ns: Count | None = None
    p95_ns: Count | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "Aggregates":
        if not self.min_ns <= self.mean_ns <= self.max_ns:
            raise ValueError("min_ns, mean_ns and max_ns are not in order")
        return self


class ColdTimes(Strict):
    """The first of everything: importing the runtime (None: it was there already), opening the file, the first run."""

    import_ns: Count | None
    load_ns: Count
    first_inference_ns: Count


class WarmupSeen(Strict):
    """The unmeasured queries before the first round. `stable`: the running median had settled when they ended."""

    runs: Count
    duration_ns: Count
    stable: bool


class Transfers(Strict):
    """A GPU's copies, one figure per query; the samples of the record are the computation alone."""

    to_device_ns: Samples
    to_host_ns: Samples


class EndToEnd(Strict):
    """From an encoded picture to the answer, stage by stage, one figure per run.

    Attributes:
        frame_hw: size of the decoded picture, None when missing. encoded_bytes: of the JPEG.
        stages: STAGES -> nanoseconds of every run. total_ns: of their sums; None when emulated, or when missing.
        missing: why there are no stages (`no cv2 on the device`).
        points: of a model with a point head, the parts of `postprocess` that are its: points, features, head.
    """

    frame_hw: tuple[Count, Count] | None
    encoded_bytes: Count
    stages: dict[str, Samples]
    total_ns: Latency | None
    missing: str | None = None
    points: dict[str, Samples] | None = None


class Memory(Strict):
    """peak_rss_bytes: of the measuring process up to this subject's end; None where subjects cannot be told apart.

    rss_before_bytes: before the model file was opened. arena_bytes: what LiteRT's built-in kernels plan for the file's
    activations (`edge.graph.analyses.arena`); None for other kernels.
    """

    peak_rss_bytes: Count | None = None
    rss_before_bytes: Count | None = None
    arena_bytes: Count | None = None


class Instructions(Strict):
    """Instructions that an emulated processor executed.

    Attributes:
        per_inference: median of `runs` less `harness`. cpu: the core that was emulated.
        runs: between two readings of the clock, one figure per measured run, in order.
        harness: the median between two readings around a query that does nothing.
    """

    per_inference: Count
    cpu: str
    runs: Annotated[tuple[Count, ...], Field(min_length=1)]
    harness: Count = 0

    @model_validator(mode="after")
    def _follows_from_the_runs(self) -> "Instructions":
        if self.per_inference != max(nearest_rank(sorted(self.runs), 50) - self.harness, 0):
            raise ValueError("per_inference does not follow from runs and harness")
        return self

    @property
    def spread(self) -> float:
        """Largest less smallest run, as a share of the median."""
        return (max(self.runs) - min(self.runs)) / max(nearest_rank(sorted(self.runs), 50), 1)


class SelftestSeen(Strict):
    """The artifact's self-test on this machine, which came before any timing."""

    kernels: str
    samples: Count
    largest: float
    allowed: float


class EnergyUsed(Strict):
    """Energy over the measurement by a counter of the machine."""

    source: str
    joules: float
    joules_per_inference: float | None
