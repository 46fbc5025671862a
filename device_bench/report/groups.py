"""What belongs together in a report: the same file in the same engine on the same kind of machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from device_bench.records.record_parts import STAGES
from device_bench.records.row import PERCENTILES
from device_bench.report.store import Store
from device_bench.statistics.order_bounds import order_bounds
from edge.engines.table import COMPUTE_NOTHING

KEY = ("name", "model_file", "hash", "precision", "engine", "kernels", "threads", "scenario", "machine", "tainted")
SHARES = (0.0, 0.01, 0.02, 0.05, *(step / 20 for step in range(2, 20)), 0.98, 0.99, 0.999, 1.0)
MEANS = ("load_ns", "first_ns", "import_ns", *(f"{stage}_ns" for stage in STAGES), "to_device_ns", "to_host_ns",
         "peak_rss_bytes", "arena_bytes", "size_bytes", "weights_bytes", "peak_activation_bytes", "parameters",
         "multiply_adds", "instructions")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Group:
    """Records of one file, engine, kernel set, number of threads, scenario and kind of machine; clean or tainted.

    Attributes:
        records, devices: how many of them, and from how many targets.
        kinds: taints of them, each once.
        latency_ns: percentile -> the middle one among the records' own percentiles. None when emulated.
        confidence_ns: percentile -> bounds of 95 %: of one record by its samples, of six or more by the records; else
            None.
        quantiles_ns: at SHARES, of all samples together.
        medians: MEANS -> the median over the records that state it, or None.
        candidate: untrained, of `edge models --fit`; published: in [0, 1], of networks like it, by published_metric.
    """

    key: Mapping[str, Any]
    version: str
    records: int
    devices: int
    emulated: bool
    kinds: tuple[str, ...]
    metric: str | None
    accuracy: float | None
    latency_ns: Mapping[int, int | None]
    confidence_ns: Mapping[int, tuple[int, int] | None]
    quantiles_ns: tuple[int, ...]
    per_s: float | None
    medians: Mapping[str, int | None]
    missing: str | None
    emulated_cpu: str | None
    candidate: bool = False
    published_metric: str | None = None
    published: float | None = None

    @property
    def mark(self) -> str:
        """`~` before every figure of tainted records."""
        return "~" if self.key["tainted"] else ""

    @property
    def what(self) -> str:
        """What was measured: `v2_int8 (int8)`."""
        precision = self.key["precision"]
        return f"{self.key['name']} ({precision})" if precision else self.key["name"]

    @property
    def how(self) -> str:
        """What ran it, and where: `litert xnnpack, 1 thread, Raspberry Pi 5`."""
        key = self.key
        threads = "1 thread" if key["threads"] == 1 else f"{key['threads']} threads"
        scenario = "" if key["scenario"] == "single-stream" else f", {key['scenario']}"
        return f"{key['engine']} {key['kernels']}, {threads}{scenario}, {key['machine']}"


def gain_text(group: Group, others: Sequence[Group]) -> str:
    """How many times as fast as its float32 counterpart: `2.86x vs float`, with `~` where one is tainted; or nothing.

    The counterpart has as many multiply-adds and the same engine, kernels, threads, scenario and kind of machine; where
    there are several, or none, nothing is said.
    """
    same = ("engine", "kernels", "threads", "scenario", "machine", "tainted")
    p50_ns, adds = group.latency_ns[50], group.medians["multiply_adds"]
    if group.key["precision"] in (None, "float32") or not p50_ns or not adds or group.key["engine"] in COMPUTE_NOTHING:
        return ""
    parents = [
        other
        for other in others
        if other.key["precision"] == "float32"
        and other.medians["multiply_adds"] == adds
        and all(other.key[name] == group.key[name] for name in same)
    ]
    parent_ns = parents[0].latency_ns[50] if len(parents) == 1 else None
    return f"{group.mark}{parent_ns / p50_ns:.2f}x vs float" if parent_ns else ""


def groups(store: Store) -> list[Group]:
    """All groups, those of the same file together, each file's fastest first."""
    _bounds_table(store)
    found = store.rows(_query())
    curves = {tuple(row[name] for name in KEY): tuple(row["quantiles"]) for row in store.rows(_curves())}
    return [_group(row, curves.get(tuple(row[name] for name in KEY), ())) for row in found]


def _bounds_table(store: Store) -> None:
    """`bounds`: number of records -> ranks that bound their median."""
    sizes = store.rows(f"SELECT DISTINCT count(*) AS n FROM records GROUP BY {', '.join(KEY)}")
    store.connection.execute("CREATE OR REPLACE TABLE bounds (n BIGINT, low BIGINT, high BIGINT)")
    known = [(row["n"], *(order_bounds(row["n"], 0.5) or (None, None))) for row in sizes]
    if known:
        store.connection.executemany("INSERT INTO bounds VALUES (?, ?, ?)", known)


def _query() -> str:
    latency = ", ".join(
        f"quantile_disc(p{p}_ns, 0.5) AS p{p}, list_sort(list(p{p}_ns)) AS all{p}, "
        f"any_value(p{p}_low_ns) AS low{p}, any_value(p{p}_high_ns) AS high{p}"
        for p in PERCENTILES
    )
    means = ", ".join(f"quantile_disc({name}, 0.5) AS {name}" for name in MEANS)
    keys = ", ".join(KEY)
    grouped = (
        f"SELECT {keys}, count(*) AS n, count(DISTINCT target) AS devices, bool_or(emulated) AS emulated, "
        "max(version) AS version, max(metric) AS metric, max(accuracy) AS accuracy, median(per_s) AS per_s, "
        "max(end_to_end_missing) AS missing, max(emulated_cpu) AS emulated_cpu, bool_or(candidate) AS candidate, "
        "max(published_metric) AS published_metric, max(published) AS published, "
        "list_sort(list_distinct(flatten(list(list_transform(taints, lambda t: t.kind))))) AS kinds, "
        f"{latency}, {means} FROM records GROUP BY {keys}"
    )
    bounded = ", ".join(
        f"CASE WHEN g.n = 1 THEN low{p} ELSE all{p}[b.low] END AS p{p}_low, "
        f"CASE WHEN g.n = 1 THEN high{p} ELSE all{p}[b.high] END AS p{p}_high"
        for p in PERCENTILES
    )
    hidden = ", ".join(f"all{p}, low{p}, high{p}" for p in PERCENTILES)
    return (
        f"SELECT g.* EXCLUDE ({hidden}), {bounded} FROM ({grouped}) AS g JOIN bounds AS b ON g.n = b.n "
        f"ORDER BY g.name, g.p50 NULLS LAST, {', '.join(f'g.{name}' for name in KEY)}"
    )


def _curves() -> str:
    keys = ", ".join(KEY)
    shares = ", ".join(str(share) for share in SHARES)
    return (
        f"SELECT {keys}, quantile_disc(sample, [{shares}]) AS quantiles "
        f"FROM (SELECT {keys}, unnest(samples_ns) AS sample FROM records) GROUP BY {keys}"
    )


def _group(row: Mapping[str, Any], quantiles_ns: tuple[int, ...]) -> Group:
    bounds = {p: (row[f"p{p}_low"], row[f"p{p}_high"]) for p in PERCENTILES}
    return Group(
        key=MappingProxyType({name: row[name] for name in KEY}),
        version=row["version"],
        records=row["n"],
        devices=row["devices"],
        emulated=row["emulated"],
        kinds=tuple(row["kinds"] or ()),
        metric=row["metric"],
        accuracy=row["accuracy"],
        latency_ns=MappingProxyType({p: row[f"p{p}"] for p in PERCENTILES}),
        confidence_ns=MappingProxyType({p: None if None in pair else pair for p, pair in bounds.items()}),
        quantiles_ns=quantiles_ns,
        per_s=row["per_s"],
        medians=MappingProxyType({name: row[name] for name in MEANS}),
        missing=row["missing"],
        emulated_cpu=row["emulated_cpu"],
        candidate=row["candidate"],
        published_metric=row["published_metric"],
        published=row["published"],
    )
