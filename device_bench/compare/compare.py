"""Records before and after a change: paired, compared, judged."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from device_bench.compare.causes import causes
from device_bench.records.blocks import FEWEST_BLOCKS, blocks
from device_bench.records.record import Record
from device_bench.records.row import machine_name
from device_bench.statistics.two_samples import Comparison, compare_blocks, holm
from edge.errors import UsageError
from edge.percentile import nearest_rank

Verdict = Literal["slower", "faster", "no difference shown", "too few samples"]
Quantity = Literal["latency", "instructions"]
METRICS: Mapping[str, float] = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
FEWEST_SAMPLES: Mapping[str, int] = {"p50": 20, "p90": 50, "p99": 500}
"""Samples on each side below which nothing is said: five beyond the percentile, at least twenty in all."""
UNTOUCHED_BY_TIME = frozenset({"untested"})
"""Taints that count for instruction counts too; the others are about time."""

Key = tuple[str, str, str, str, int, str, str, bool]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One pair and what is said about it.

    Attributes:
        subject: for a person. kinds: taints of its records, each once.
        base, new: the percentile in nanoseconds, or instructions per inference.
        interval: of the ratio NEW / BASE, with confidence 1 - alpha; not corrected for the number of pairs.
        p: of a ratio within the smallest effect; adjusted_p: after Holm over all pairs. None without a test: counts
            of instructions show no chance.
        causes: what else differs between the two sides; see `device_bench.compare.causes`.
    """

    subject: str
    quantity: Quantity
    verdict: Verdict
    kinds: tuple[str, ...]
    samples: tuple[int, int]
    blocks: tuple[int, int]
    base: float | None = None
    new: float | None = None
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None
    adjusted_p: float | None = None
    mann_whitney_p: float | None = None
    cliffs_delta: float | None = None
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Records of the same subject; `base` and `new` hold at least one each."""

    key: Key
    base: tuple[Record, ...]
    new: tuple[Record, ...]

    @property
    def emulated(self) -> bool:
        """Whether instruction counts are compared instead of times."""
        return self.key[-1]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Taints that count for what is compared."""
        found = {taint.kind for record in (*self.base, *self.new) for taint in record.taints}
        return tuple(sorted(found & UNTOUCHED_BY_TIME if self.emulated else found))


def key_of(record: Record) -> Key:
    """What must agree: artifact, file, engine, kernels, threads, scenario and machine, or the emulated processor."""
    engine = record.engine
    machine = record.instructions.cpu if record.instructions is not None else machine_name(record.machine)
    return (
        record.measured.name,
        record.measured.file,
        engine.engine,
        engine.kernels,
        engine.threads,
        record.plan.conditions,
        machine,
        record.emulated,
    )


def subject_of(key: Key) -> str:
    """A key for a person: `v2_int8/model.tflite, litert xnnpack, 1 thread, Raspberry Pi 5`."""
    name, file, engine, kernels, threads, scenario, machine, _ = key
    shown = "" if scenario == "single-stream" else f", {scenario}"
    return f"{name}/{file}, {engine} {kernels}, {threads} thread{'s' * (threads != 1)}{shown}, {machine}"


def pair_records(base: Sequence[Record], new: Sequence[Record]) -> tuple[list[Pair], list[str]]:
    """Pairs, in the order of `base`, and one sentence for each subject that stands on one side only.

    The null engine computes nothing: it is paired like any other.
    """
    sides: list[dict[Key, list[Record]]] = [{}, {}]
    for side, records in zip(sides, (base, new), strict=True):
        for record in records:
            if record.aggregates is not None:
                raise UsageError(f"{record.target.name}: its record has averages only; samples are needed to compare")
            side.setdefault(key_of(record), []).append(record)
    first, second = sides
    pairs = [Pair(key=key, base=tuple(first[key]), new=tuple(second[key])) for key in first if key in second]
    alone = [f"only in BASE: {subject_of(key)}" for key in first if key not in second]
    alone += [f"only in NEW: {subject_of(key)}" for key in second if key not in first]
    return pairs, alone


def sample_blocks(records: Sequence[Record]) -> list[list[int]]:
    """The units that are drawn: whole records where there are FEWEST_BLOCKS of them, else the blocks of each."""
    if len(records) >= FEWEST_BLOCKS:
        return [list(record.samples_ns) for record in records]
    return [block for record in records for block in blocks(record.samples_ns, record.plan)]


def judge(pairs: Sequence[Pair], metric: str, min_effect: float, alpha: float) -> list[Judged]:
    """Judge every pair: `slower` and `faster` where the ratio lies beyond 1 + min_effect, by Holm's adjusted p.

    Args:
        metric: of METRICS. min_effect: a share, 0.02 for 2 %. alpha: chance of one wrong `slower` or `faster` among all
            pairs that did not change.
    """
    found = [
        (_instructions(pair, min_effect), None) if pair.emulated else _latency(pair, metric, alpha) for pair in pairs
    ]
    chances = {place: test.p_beyond(min_effect) for place, (_, test) in enumerate(found) if test is not None}
    adjusted = dict(zip(chances, holm(list(chances.values())), strict=True))
    judged = [entry for entry, _ in found]
    for place, p in chances.items():
        entry = judged[place]
        verdict: Verdict = "no difference shown"
        if adjusted[place] <= alpha and entry.ratio is not None:
            verdict = "slower" if entry.ratio > 1 else "faster"
        judged[place] = replace(entry, verdict=verdict, p=p, adjusted_p=adjusted[place])
    return [replace(entry, causes=causes(pair.base, pair.new)) for entry, pair in zip(judged, pairs, strict=True)]


def _latency(pair: Pair, metric: str, alpha: float) -> tuple[Judged, Comparison | None]:
    """What is known before the correction over all pairs; no Comparison where the samples are too few."""
    base, new = sample_blocks(pair.base), sample_blocks(pair.new)
    samples = sum(len(block) for block in base), sum(len(block) for block in new)
    counts = len(base), len(new)
    entry = _too_few(pair, "latency", samples, counts)
    if min(samples) < FEWEST_SAMPLES[metric] or min(counts) < FEWEST_BLOCKS:
        return entry, None
    test = compare_blocks(base, new, METRICS[metric])
    return (
        replace(
            entry,
            base=test.base,
            new=test.new,
            ratio=test.ratio,
            interval=test.interval(alpha),
            mann_whitney_p=test.mann_whitney_p,
            cliffs_delta=test.cliffs_delta,
        ),
        test,
    )


def _too_few(pair: Pair, quantity: Quantity, samples: tuple[int, int], blocks: tuple[int, int]) -> Judged:
    """A pair of which only the counts are known."""
    subject = subject_of(pair.key)
    return Judged(
        subject=subject, quantity=quantity, verdict="too few samples", kinds=pair.kinds, samples=samples, blocks=blocks
    )


def _instructions(pair: Pair, min_effect: float) -> Judged:
    """Counts of instructions hardly vary: their medians are compared, without a test."""
    sides = [
        sorted(record.instructions.per_inference for record in side if record.instructions is not None)
        for side in (pair.base, pair.new)
    ]
    samples = len(sides[0]), len(sides[1])
    entry = _too_few(pair, "instructions", samples, samples)
    if min(samples) < 1 or min(sides[0][0], sides[1][0]) < 1:
        return entry
    base, new = (nearest_rank(side, 50) for side in sides)
    ratio = new / base
    verdict: Verdict = "no difference shown"
    if abs(math.log(ratio)) > math.log1p(min_effect):
        verdict = "slower" if ratio > 1 else "faster"
    return replace(entry, verdict=verdict, base=base, new=new, ratio=ratio)
