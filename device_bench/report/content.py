"""What a report shows, gathered from the store."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from device_bench.records.explanation import Explanation
from device_bench.records.record_types import INT64_MAX
from device_bench.report.charts import (
    COLD_PARTS,
    STAGE_PARTS,
    TRANSFER_PARTS,
    curves,
    over_time,
    pareto,
    stacks,
    strips,
)
from device_bench.report.explained import explained
from device_bench.report.fronts import fronts
from device_bench.report.groups import Group, gain_text, groups
from device_bench.report.store import Store
from edge.errors import printable

MOST_ROWS = 200
MOST_MACHINES = 100
MOST_SERIES = 6
MOST_EXPLANATIONS = 12


def content(store: Store, sources: list[Path], time_utc: str) -> dict[str, Any]:
    """The content of the page; its size does not grow with the number of records.

    Args:
        sources: the files that were read. time_utc: when, for a reader.
    """
    found = groups(store)
    totals = store.rows(
        "SELECT count(*) AS records, count(DISTINCT target) AS devices, count(DISTINCT machine) AS machines, "
        "count(*) FILTER (tainted) AS tainted, count(*) FILTER (emulated) AS emulated, "
        "coalesce(sum(len(samples_ns)), 0)::BIGINT AS samples, min(time_utc) AS first, max(time_utc) AS last "
        "FROM records"
    )[0]
    real = [group for group in found if not group.emulated]
    fastest = sorted(real, key=lambda group: group.latency_ns[50] or INT64_MAX)[:MOST_ROWS]
    series = _series(store)
    return {
        "totals": totals,
        "damaged": store.damaged,
        "told": store.told,
        "sources": [printable(path.name) for path in sources],
        "time_utc": time_utc,
        "groups": fastest,
        "gains": [gain_text(group, real).removesuffix(" vs float") for group in fastest],
        "groups_left_out": max(len(real) - MOST_ROWS, 0),
        "strips": strips(real),
        "curves": curves(real),
        "pareto": pareto(real),
        "fronts": fronts(found),
        "stages": stacks(real, STAGE_PARTS),
        "missing": sorted({group.missing for group in found if group.missing}),
        "cold": stacks(real, COLD_PARTS),
        "transfers": stacks(real, TRANSFER_PARTS),
        "memory": [group for group in found if _has_memory(group)][:MOST_ROWS],
        "emulated": [group for group in found if group.emulated][:MOST_ROWS],
        "celsius": over_time(series, "celsius"),
        "megahertz": over_time(series, "megahertz"),
        "explanations": _explanations(store),
        "taints": _taints(store),
        "machines": _machines(store),
    }


def _has_memory(group: Group) -> bool:
    return group.medians["peak_rss_bytes"] is not None or group.medians["arena_bytes"] is not None


def _series(store: Store) -> list[Mapping[str, Any]]:
    """The states of one record per kind of machine: of the one that became hottest, or has the most readings."""
    found = store.rows(
        "SELECT machine, arg_max(states, coalesce(hottest, 0) * 1e6 + len(states)) AS states, "
        "arg_max(tainted, coalesce(hottest, 0) * 1e6 + len(states)) AS tainted "
        "FROM records WHERE NOT emulated GROUP BY machine "
        f"ORDER BY max(hottest) DESC NULLS LAST, machine LIMIT {MOST_SERIES}"
    )
    return [{**entry, "label": f"{'~' if entry['tainted'] else ''}{entry['machine']}"} for entry in found]


def _explanations(store: Store) -> list[dict[str, Any]]:
    """The latest explanation of every group that has one, the slowest first."""
    found = store.rows(
        "SELECT name, model_file, engine, kernels, threads, machine, bool_or(tainted) AS tainted, "
        "arg_max(explanation, time_utc) AS explanation FROM records WHERE explanation IS NOT NULL "
        "GROUP BY name, model_file, engine, kernels, threads, machine"
    )
    told = [(entry, Explanation.model_validate_json(entry["explanation"])) for entry in found]
    told.sort(key=lambda pair: (-pair[1].whole_ns, pair[0]["name"]))
    return [
        explained(
            f"{'~' if entry['tainted'] else ''}{entry['name']}/{entry['model_file']} on {entry['machine']}", explanation
        )
        for entry, explanation in told[:MOST_EXPLANATIONS]
    ]


def _taints(store: Store) -> list[dict[str, Any]]:
    """Kinds of taints with the number of records and one sentence of each."""
    return store.rows(
        "SELECT t.kind AS kind, count(DISTINCT r) AS records, min(t.sentence) AS sentence "
        "FROM (SELECT row_number() OVER () AS r, unnest(taints) AS t FROM records) "
        "GROUP BY t.kind ORDER BY records DESC, kind"
    )


def _machines(store: Store) -> list[dict[str, Any]]:
    return store.rows(
        "SELECT machine, processor, architecture, system, max(cores) AS cores, max(memory_bytes) AS memory_bytes, "
        "bool_or(emulated) AS emulated, count(DISTINCT target) AS devices, count(*) AS records, "
        "count(*) FILTER (tainted) AS tainted, max(hottest) AS hottest FROM records "
        "GROUP BY machine, processor, architecture, system "
        f"ORDER BY records DESC, machine, system LIMIT {MOST_MACHINES}"
    )
