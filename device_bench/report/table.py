"""Records as a table for a person; integers are turned into milliseconds only here."""

from collections.abc import Sequence

from rich.table import Table

from device_bench.records.percentiles import summarize
from device_bench.records.record import Record
from device_bench.records.record_parts import STAGES

DIGITS = ((100, 1), (1, 2), (0.1, 3))  # from this many milliseconds on: digits behind the point
SMALLEST_DIGITS = 5


def milliseconds(duration_ns: int) -> str:
    """A duration with at least three significant digits down to 10 ns: `0.01230`, `2.31`, `130.7`."""
    value = duration_ns / 1e6
    digits = next((digits for limit, digits in DIGITS if value >= limit), SMALLEST_DIGITS)
    return f"{value:.{digits}f}"


def float_counterpart(record: Record, records: Sequence[Record]) -> Record | None:
    """The one float32 record that an int8 record is to be compared with.

    It has the same engine, threads and multiply-adds; None when there is none, or more than one. The null engine
    computes nothing, so nothing is compared.
    """
    if record.measured.precision == "float32" or record.engine.engine == "null":
        return None
    fitting = [
        other
        for other in records
        if other.measured.precision == "float32"
        and other.engine.engine == record.engine.engine
        and other.engine.threads == record.engine.threads
        and other.target == record.target
        and other.measured.multiply_adds == record.measured.multiply_adds
        and other.measured.multiply_adds is not None
    ]
    return fitting[0] if len(fitting) == 1 else None


def kernels_used(record: Record) -> str:
    """What really ran: `xnnpack 65/65`, `mlas`."""
    engine = record.engine
    if engine.delegated_operators and engine.operators:
        return f"{engine.kernels} {engine.delegated_operators}/{engine.operators}"
    return engine.kernels


def marked(figure: str, record: Record) -> str:
    """A figure with `~` before it where the record is tainted."""
    return f"~{figure}" if record.taints else figure


def latency_table(records: Sequence[Record]) -> Table:
    """One row per record: latency percentiles in milliseconds, and int8 against float32 where both are there.

    A tainted record's figures carry a `~`, and `state` names the kinds; an emulated one has no figure, because emulated
    time is no latency.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    several = len({record.target.name for record in records}) > 1
    for name in (*(("target",) if several else ()), "artifact", "type", "engine", "kernels"):
        table.add_column(name, no_wrap=True)
    for name in ("p50 ms", "p90", "p99", "vs float", "runs", "load", "first", "KiB", "MMAdds"):
        table.add_column(name, justify="right", no_wrap=True)
    if any(record.throughput_per_s is not None for record in records):
        table.add_column("per s", justify="right", no_wrap=True)
    if any(record.transfers is not None for record in records):
        for name in ("there", "back"):
            table.add_column(name, justify="right", no_wrap=True)
    counting = any(record.instructions is not None for record in records)
    if counting:
        table.add_column("M instructions", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for record in records:
        measured = record.measured
        adds = "" if measured.multiply_adds is None else f"{measured.multiply_adds / 1e6:.1f}"
        table.add_row(
            *((record.target.name,) if several else ()),
            measured.name,
            measured.precision or "",
            record.engine.engine,
            kernels_used(record),
            *_latencies(record, float_counterpart(record, records)),
            str(record.runs),
            *_cold(record),
            f"{measured.size_bytes / 1024:.0f}",
            adds + ("+" if measured.unruled else ""),
            *_rate(record, records),
            *_transfers(record, records),
            *_instructions(record, counting),
            state_text(record),
        )
    return table


def state_text(record: Record) -> str:
    """`clean`, or the kinds of what casts doubt on the figures, each once."""
    return " ".join(dict.fromkeys(taint.kind for taint in record.taints)) or "clean"


def _rate(record: Record, records: Sequence[Record]) -> tuple[str, ...]:
    """Inferences per second, in a table where any record has them."""
    if all(other.throughput_per_s is None for other in records):
        return ()
    return ("" if record.throughput_per_s is None else marked(f"{record.throughput_per_s:.1f}", record),)


def _transfers(record: Record, records: Sequence[Record]) -> tuple[str, ...]:
    """Medians of a GPU's copies, which the latency beside them does not hold."""
    if all(other.transfers is None for other in records):
        return ()
    if record.transfers is None:
        return "", ""
    copies = (record.transfers.to_device_ns, record.transfers.to_host_ns)
    there, back = (marked(milliseconds(summarize(values).p50_ns), record) for values in copies)
    return there, back


def _instructions(record: Record, counting: bool) -> tuple[str, ...]:
    """Millions of instructions per inference: exact where the processor is emulated, so without a mark."""
    if not counting:
        return ()
    return ("" if record.instructions is None else f"{record.instructions.per_inference / 1e6:.3f}",)


def stage_table(records: Sequence[Record]) -> Table:
    """One row per record with end-to-end stages: the median of every stage and of their sum, in milliseconds."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("end to end", "engine"):
        table.add_column(name, no_wrap=True)
    for name in (*STAGES, "p50 ms", "p99"):
        table.add_column(name, justify="right", no_wrap=True)
    for record in records:
        end = record.end_to_end
        if end is None:
            continue
        if end.total_ns is None:
            table.add_row(record.measured.name, record.engine.engine, end.missing or "emulated")
            continue
        medians = [marked(milliseconds(summarize(end.stages[name]).p50_ns), record) for name in STAGES]
        totals = (marked(milliseconds(figure), record) for figure in (end.total_ns.p50_ns, end.total_ns.p99_ns))
        table.add_row(record.measured.name, record.engine.engine, *medians, *totals)
    return table


def _latencies(record: Record, parent: Record | None) -> tuple[str, ...]:
    latency = record.latency_ns
    if record.mean_ns is not None:
        return f"mean {marked(milliseconds(record.mean_ns), record)}", "", "", ""
    if latency is None:
        return "emulated", "", "", ""
    ratio = ""
    if parent is not None and parent.latency_ns is not None:
        ratio = f"{parent.latency_ns.p50_ns / max(latency.p50_ns, 1):.2f}x"
        ratio = f"~{ratio}" if record.taints or parent.taints else ratio
    figures = (latency.p50_ns, latency.p90_ns, latency.p99_ns)
    return (*(marked(milliseconds(figure), record) for figure in figures), ratio)


def _cold(record: Record) -> tuple[str, str]:
    if record.emulated:
        return "", ""
    return (
        marked(milliseconds(record.cold.load_ns), record),
        marked(milliseconds(record.cold.first_inference_ns), record),
    )
