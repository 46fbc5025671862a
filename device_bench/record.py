"""A record: one measurement, one JSON line, understood without any other file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from device_bench.machine import Machine
from device_bench.machine_state import MachineState
from device_bench.percentiles import Latency, summarize
from device_bench.plan import Plan
from edge import atomic
from edge.errors import FileError

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


class Strict(BaseModel):
    """Frozen; no unknown key, no conversion between types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Measured(Strict):
    """What was measured. `manifest_sha256` pins every byte of the artifact, `file_sha256` the model file that ran."""

    name: str
    manifest_sha256: Sha256
    file: str
    file_sha256: Sha256
    size_bytes: Count
    precision: Literal["int8", "int16x8", "float32"]
    multiply_adds: Count
    parameters: Count
    unruled: tuple[str, ...] = ()


class EngineUsed(Strict):
    """What really ran it: the fields of `edge.runtime.engine.EngineInfo`."""

    engine: str
    version: str
    kernels: str
    delegate: str | None
    operators: int | None
    delegated_operators: int | None
    threads: int
    machine: str | None = None
    emulated: str | None = None


class SelftestSeen(Strict):
    """The artifact's self-test on this machine, which came before any timing."""

    kernels: str
    samples: Count
    largest: float
    allowed: float


class Record(Strict):
    """One measurement.

    Attributes:
        load_ns: opening the model file, after the runtime's package was imported. first_inference_ns: the run after it.
        samples_ns: every measured run, in order. latency_ns: their order statistics.
        position: place of this subject in the turn (`0 of 4` is [0, 4]).
        selftest: None where it was skipped, and for the null engine, which computes nothing.
        before, after: the machine around the whole measurement.
    """

    schema_version: Literal[1]
    measured: Measured
    engine: EngineUsed
    plan: Plan
    position: tuple[int, int]
    load_ns: Count
    first_inference_ns: Count
    samples_ns: tuple[Count, ...]
    latency_ns: Latency
    selftest: SelftestSeen | None
    machine: Machine
    before: MachineState
    after: MachineState
    versions: dict[str, str]
    command: str
    time_utc: str

    @model_validator(mode="after")
    def _latency_is_that_of_the_samples(self) -> "Record":
        if not self.samples_ns:
            raise ValueError("samples_ns is empty")
        if summarize(self.samples_ns) != self.latency_ns:
            raise ValueError("latency_ns does not follow from samples_ns")
        return self


def record_line(record: Record) -> str:
    """The record as one line of JSON, without the line's end."""
    return record.model_dump_json()


def parse_records(text: str, path: str | Path) -> list[Record]:
    """Read records from JSON lines; empty lines are skipped.

    Raises:
        FileError: a line that is not a record, named with its number and its first wrong key.
    """
    records = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            records.append(Record.model_validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "record"
            raise FileError(path, f"line {number} is not a record: {where}: {first['msg']}") from error
    return records


def read_records(path: str | Path) -> list[Record]:
    """Read a file of records. Refuses (FileError) a missing file, other text than UTF-8, and what is not a record."""
    try:
        return parse_records(Path(path).read_text(encoding="utf-8"), path)
    except OSError as error:
        raise FileError(path, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FileError(path, f"is not UTF-8 text: {error.reason} at byte {error.start}") from error


def append_records(path: str | Path, records: Sequence[Record]) -> None:
    """Add records to a file, which is made if absent and is written whole.

    Raises:
        FileError: the file holds something else than records, or cannot be written.
    """
    earlier = read_records(path) if Path(path).exists() else []
    atomic.write_text(path, "".join(record_line(record) + "\n" for record in [*earlier, *records]))


def record_schema() -> dict[str, Any]:
    """JSON Schema of a record, for readers in other languages."""
    return Record.model_json_schema()
