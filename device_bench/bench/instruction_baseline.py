"""A committed file of instruction counts, and the check that no later count is above it by more than a tolerance."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from device_bench.records.record import Record
from device_bench.records.record_parts import Sha256
from device_bench.records.record_types import Positive
from edge.errors import FileError, UsageError
from edge.files import atomic
from edge.files.bounded_file import exists, read_text
from edge.strict import Strict, first_problem

TOLERANCE = 0.005
MOST_BYTES = 64 * 1024 * 1024
Key = tuple[str, str, str, str]  # model, file, engine with its kernels, core


class CountEntry(Strict):
    """One count. `file_sha256` and `version` (of the runtime) say what was counted; the key is the other names."""

    model: str
    file: str
    engine: str
    cpu: str
    version: str
    file_sha256: Sha256
    instructions: Positive

    @property
    def key(self) -> Key:
        """What a later count is compared by."""
        return self.model, self.file, self.engine, self.cpu


class Baseline(Strict):
    """All counts of a file."""

    baseline_version: Literal[1]
    counts: tuple[CountEntry, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A count against its baseline; `base` is None where the baseline has no such entry."""

    now: CountEntry
    base: CountEntry | None

    @property
    def change(self) -> float | None:
        """As a share of the baseline: 0.01 is one percent more."""
        return None if self.base is None else self.now.instructions / self.base.instructions - 1

    @property
    def regressed(self) -> bool:
        """More than TOLERANCE above the baseline, or without one."""
        return self.change is None or self.change > TOLERANCE

    @property
    def words(self) -> str:
        """Model, engine, core and both counts, in one line."""
        now = self.now
        where = f"{now.model} {now.file} with {now.engine} {now.version} on {now.cpu}"
        if self.base is None:
            return f"{where}: {now.instructions:,} instructions, and the baseline has none; --write-baseline adds it"
        told = f"{where}: {now.instructions:,} instructions, {self.base.instructions:,} in the baseline"
        runtime = "" if self.base.version == now.version else f"; it was counted with version {self.base.version}"
        return f"{told} ({self.change:+.2%}{runtime})"


def entry_of(record: Record) -> CountEntry:
    """The count of a record. Refuses (UsageError) a record without one."""
    counted, engine = record.instructions, record.engine
    if counted is None:
        raise UsageError(f"{record.measured.name}: {record.target.name} counts no instructions; use emulated-arm64")
    return CountEntry(
        model=record.measured.name,
        file=record.measured.file,
        engine=f"{engine.engine}:{engine.kernels}",
        cpu=counted.cpu,
        version=engine.version,
        file_sha256=record.measured.file_sha256,
        instructions=counted.per_inference,
    )


def compare(records: Sequence[Record], baseline: Baseline) -> list[Comparison]:
    """Every record's count against the baseline's entry of the same model, file, engine, kernels and core."""
    held = {entry.key: entry for entry in baseline.counts}
    return [Comparison(now=entry, base=held.get(entry.key)) for entry in map(entry_of, records)]


def read_baseline(path: Path) -> Baseline:
    """Refuses (FileError) a missing file, and what is no baseline."""
    text = read_text(path, most_bytes=MOST_BYTES, what="baseline (--write-baseline makes one)")
    try:
        baseline = Baseline.model_validate_json(text)
    except ValidationError as error:
        raise FileError(path, f"is not a baseline of instruction counts: {first_problem(error, Baseline)}") from error
    keys = [entry.key for entry in baseline.counts]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise FileError(path, f"holds two counts of {' '.join(twice[0])}")
    return baseline


def write_baseline(path: Path, records: Sequence[Record]) -> Baseline:
    """Put the records' counts into a file, beside those of other models, engines and cores that stand there."""
    earlier = read_baseline(path).counts if exists(path) else ()
    held = {entry.key: entry for entry in earlier} | {entry.key: entry for entry in map(entry_of, records)}
    baseline = Baseline(baseline_version=1, counts=tuple(held[key] for key in sorted(held)))
    atomic.write_text(path, json.dumps(baseline.model_dump(mode="json"), indent=1) + "\n")
    return baseline
