"""A record as one flat row, as the store holds it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from device_bench.records.machine import Machine
from device_bench.records.machine_state import MachineState
from device_bench.records.record import Record
from device_bench.records.record_parts import STAGES
from device_bench.statistics.order_bounds import order_bounds
from edge.percentile import nearest_rank

PERCENTILES = (50, 90, 99)
MOST_STATES = 60
SHORT_HASH = 8

# column -> type in SQL; the order is that of the table.
COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "name": "VARCHAR",
        "model_file": "VARCHAR",
        "hash": "VARCHAR",
        "precision": "VARCHAR",
        "task": "VARCHAR",
        "size_bytes": "BIGINT",
        "multiply_adds": "BIGINT",
        "parameters": "BIGINT",
        "weights_bytes": "BIGINT",
        "peak_activation_bytes": "BIGINT",
        "metric": "VARCHAR",
        "accuracy": "DOUBLE",
        "split": "VARCHAR",
        "candidate": "BOOLEAN",
        "published_metric": "VARCHAR",
        "published": "DOUBLE",
        "engine": "VARCHAR",
        "version": "VARCHAR",
        "kernels": "VARCHAR",
        "threads": "BIGINT",
        "scenario": "VARCHAR",
        "target": "VARCHAR",
        "machine": "VARCHAR",
        "processor": "VARCHAR",
        "architecture": "VARCHAR",
        "system": "VARCHAR",
        "cores": "BIGINT",
        "memory_bytes": "BIGINT",
        "emulated": "BOOLEAN",
        "tainted": "BOOLEAN",
        "taints": "STRUCT(kind VARCHAR, sentence VARCHAR)[]",
        "samples_ns": "BIGINT[]",
        **{f"p{p}{end}": "BIGINT" for p in PERCENTILES for end in ("_ns", "_low_ns", "_high_ns")},
        "per_s": "DOUBLE",
        "import_ns": "BIGINT",
        "load_ns": "BIGINT",
        "first_ns": "BIGINT",
        **{f"{stage}_ns": "BIGINT" for stage in STAGES},
        "end_to_end_missing": "VARCHAR",
        "to_device_ns": "BIGINT",
        "to_host_ns": "BIGINT",
        "peak_rss_bytes": "BIGINT",
        "arena_bytes": "BIGINT",
        "instructions": "BIGINT",
        "emulated_cpu": "VARCHAR",
        "joules": "DOUBLE",
        "states": "STRUCT(second DOUBLE, celsius DOUBLE, megahertz DOUBLE)[]",
        "hottest": "DOUBLE",
        "explanation": "VARCHAR",
        "time_utc": "VARCHAR",
    }
)


def machine_name(machine: Machine) -> str:
    """What kind of machine it is: its board, or its processor, or at least its architecture."""
    return machine.board or machine.processor or machine.architecture


def row(record: Record) -> dict[str, Any]:
    """All of COLUMNS. Times of an emulated record are None, and it has no samples: they are no latency."""
    measured, engine, machine, memory = record.measured, record.engine, record.machine, record.memory
    accuracy = measured.accuracy[0] if measured.accuracy else None
    real = not record.emulated
    states = _states(record.states)
    return {
        **measured.model_dump(
            include={"name", "precision", "task", "size_bytes", "multiply_adds", "parameters", "weights_bytes"}
        ),
        "model_file": measured.file,
        "hash": measured.file_sha256[:SHORT_HASH],
        "peak_activation_bytes": measured.peak_activation_bytes,
        "metric": accuracy.metric if accuracy else None,
        "accuracy": accuracy.value if accuracy else None,
        "split": accuracy.split if accuracy else None,
        "candidate": measured.candidate,
        "published_metric": measured.published.metric if measured.published else None,
        "published": measured.published.value if measured.published else None,
        **{"engine": engine.engine, "version": engine.version, "kernels": engine.kernels, "threads": engine.threads},
        "scenario": record.plan.conditions,
        "target": record.target.name,
        "machine": machine_name(machine),
        **machine.model_dump(include={"processor", "architecture", "system", "cores", "memory_bytes"}),
        "emulated": record.emulated,
        "tainted": bool(record.taints),
        "taints": [taint.model_dump() for taint in record.taints],
        "samples_ns": record.samples_ns if real else [],
        **_percentiles(record.samples_ns if real else ()),
        "per_s": record.throughput_per_s,
        "import_ns": record.cold.import_ns if real else None,
        "load_ns": record.cold.load_ns if real else None,
        "first_ns": record.cold.first_inference_ns if real else None,
        **_stages(record),
        "to_device_ns": _median(record.transfers.to_device_ns) if record.transfers and real else None,
        "to_host_ns": _median(record.transfers.to_host_ns) if record.transfers and real else None,
        "peak_rss_bytes": memory.peak_rss_bytes,
        "arena_bytes": memory.arena_bytes,
        "instructions": record.instructions.per_inference if record.instructions else None,
        "emulated_cpu": record.instructions.cpu if record.instructions else None,
        "joules": record.energy.joules_per_inference if record.energy else None,
        "states": states,
        "hottest": max((state["celsius"] for state in states if state["celsius"] is not None), default=None),
        "explanation": record.explanation.model_dump_json() if record.explanation else None,
        "time_utc": record.time_utc,
    }


def _percentiles(samples_ns: Sequence[int]) -> dict[str, int | None]:
    """p50_ns, p50_low_ns, p50_high_ns and so on; None where there are no or too few samples."""
    ordered = sorted(samples_ns)
    found: dict[str, int | None] = {}
    for percentile in PERCENTILES:
        bounds = order_bounds(len(ordered), percentile / 100)
        found[f"p{percentile}_ns"] = nearest_rank(ordered, percentile) if ordered else None
        found[f"p{percentile}_low_ns"] = ordered[bounds[0] - 1] if bounds else None
        found[f"p{percentile}_high_ns"] = ordered[bounds[1] - 1] if bounds else None
    return found


def _stages(record: Record) -> dict[str, int | str | None]:
    """The median of every stage, and why there is none."""
    end = record.end_to_end
    known = end.stages if end is not None and not record.emulated else {}
    medians: dict[str, int | str | None] = {f"{stage}_ns": _median(known.get(stage, ())) for stage in STAGES}
    return medians | {"end_to_end_missing": end.missing if end is not None else None}


def _median(values: Sequence[int]) -> int | None:
    return nearest_rank(sorted(values), 50) if values else None


def _states(states: Sequence[MachineState]) -> list[dict[str, float | None]]:
    """Seconds since the first state, the warmest zone, the highest clock; at most about MOST_STATES, evenly taken."""
    start = _moment(states[0].time_utc)
    chosen = list(states[:: -(-len(states) // MOST_STATES)])
    if chosen[-1] is not states[-1]:
        chosen.append(states[-1])
    found = []
    for place, state in enumerate(chosen):
        now = _moment(state.time_utc)
        warmest = max(state.temperatures_millicelsius.values(), default=None)
        found.append(
            {
                "second": (now - start).total_seconds() if now and start else float(place),
                "celsius": warmest / 1000 if warmest is not None else None,
                "megahertz": max(state.frequencies_khz) / 1000 if state.frequencies_khz else None,
            }
        )
    return found


def _moment(text: str) -> datetime | None:
    """A time as the record states it; None where the text is no time or says no zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
