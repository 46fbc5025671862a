"""Records as a table for a person; integers are turned into milliseconds only here."""

from collections.abc import Sequence
from functools import partial

from rich.table import Table

from device_bench.records.percentiles import summarize
from device_bench.records.record import Record
from device_bench.records.record_parts import STAGES
from device_bench.report.columns import Column, terminal_table
from edge.engines.table import COMPUTE_NOTHING
from edge.vision.point_rend import STAGES as POINT_STAGES

DIGITS = ((100, 1), (1, 2), (0.1, 3))  # from this many milliseconds on: digits behind the point
SMALLEST_DIGITS = 5


def milliseconds(duration_ns: int) -> str:
    """A duration with at least three significant digits down to 10 ns: `0.01230`, `2.31`, `130.7`."""
    value = duration_ns / 1e6
    digits = next((digits for limit, digits in DIGITS if value >= limit), SMALLEST_DIGITS)
    return f"{value:.{digits}f}"


def float_counterpart(record: Record, records: Sequence[Record]) -> Record | None:
    """The one float32 record that an int8 record is to be compared with.

    It has the same engine, threads and multiply-adds; None when there is none, or more than one, and for an
    engine that computes nothing.
    """
    if record.measured.precision == "float32" or record.engine.engine in COMPUTE_NOTHING:
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
    time is no latency. The copies to and from a GPU are medians, and not in the latency beside them; instructions are
    exact where the processor is emulated, so without a mark.
    """
    several = len({record.target.name for record in records}) > 1
    on_gpu = any(record.transfers is not None for record in records)
    columns: tuple[Column[Record], ...] = (
        Column(heading="target", cell=lambda record: record.target.name, words=True, shown=several),
        Column(heading="artifact", cell=lambda record: record.measured.name, words=True),
        Column(heading="type", cell=lambda record: record.measured.precision or "", words=True),
        Column(heading="engine", cell=lambda record: record.engine.engine, words=True),
        Column(heading="kernels", cell=kernels_used, words=True),
        Column(heading="p50 ms", cell=_median),
        Column(heading="p90", cell=partial(_percentile, 90)),
        Column(heading="p99", cell=partial(_percentile, 99)),
        Column(heading="vs float", cell=lambda record: _gain(record, float_counterpart(record, records))),
        Column(heading="runs", cell=lambda record: str(record.runs)),
        Column(heading="load", cell=lambda record: _real(record.cold.load_ns, record)),
        Column(heading="first", cell=lambda record: _real(record.cold.first_inference_ns, record)),
        Column(heading="KiB", cell=lambda record: f"{record.measured.size_bytes / 1024:.0f}"),
        Column(heading="MMAdds", cell=_multiply_adds),
        Column(
            heading="per s",
            cell=lambda record: "" if (rate := record.throughput_per_s) is None else marked(f"{rate:.1f}", record),
            shown=any(record.throughput_per_s is not None for record in records),
        ),
        Column(heading="there", cell=lambda record: _copies(record, "to_device_ns"), shown=on_gpu),
        Column(heading="back", cell=lambda record: _copies(record, "to_host_ns"), shown=on_gpu),
        Column(
            heading="M instructions",
            cell=lambda record: "" if (seen := record.instructions) is None else f"{seen.per_inference / 1e6:.3f}",
            shown=any(record.instructions is not None for record in records),
        ),
        Column(heading="state", cell=state_text, words=True),
    )
    return terminal_table(columns, records)


def state_text(record: Record) -> str:
    """`clean`, or the kinds of what casts doubt on the figures, each once."""
    return " ".join(dict.fromkeys(taint.kind for taint in record.taints)) or "clean"


def stage_table(records: Sequence[Record]) -> Table:
    """One row per record with end-to-end stages: the median of every stage and of their sum, in milliseconds."""
    columns: tuple[Column[Record], ...] = (
        Column(heading="end to end", cell=lambda record: record.measured.name, words=True),
        Column(heading="engine", cell=lambda record: record.engine.engine, words=True),
        *(Column(heading=name, cell=partial(_stage, name)) for name in STAGES),
        *(Column(heading=f"({name})", cell=partial(_point_stage, name)) for name in POINT_STAGES if _pointed(records)),
        Column(heading="p50 ms", cell=lambda record: _total(record, "p50_ns")),
        Column(heading="p99", cell=lambda record: _total(record, "p99_ns")),
    )
    return terminal_table(columns, [record for record in records if record.end_to_end is not None])


def _stage(name: str, record: Record) -> str:
    """The median of a stage; where there is no total, the first stage says why."""
    end = record.end_to_end
    if end is None or end.total_ns is None:
        return (end and end.missing) or "emulated" if name == STAGES[0] else ""
    return marked(milliseconds(summarize(end.stages[name]).p50_ns), record)


def _pointed(records: Sequence[Record]) -> bool:
    return any(record.end_to_end is not None and record.end_to_end.points for record in records)


def _point_stage(name: str, record: Record) -> str:
    """The median of a part of the last stage; empty for a model without a point head."""
    end = record.end_to_end
    if end is None or end.total_ns is None or not end.points:
        return ""
    return marked(milliseconds(summarize(end.points[name]).p50_ns), record)


def _total(record: Record, percentile: str) -> str:
    end = record.end_to_end
    return "" if end is None or end.total_ns is None else _ms(getattr(end.total_ns, percentile), record)


def _ms(duration_ns: int, record: Record) -> str:
    return marked(milliseconds(duration_ns), record)


def _real(duration_ns: int, record: Record) -> str:
    return "" if record.emulated else _ms(duration_ns, record)


def _median(record: Record) -> str:
    """The mean, where a record has no median."""
    if record.mean_ns is not None:
        return f"mean {_ms(record.mean_ns, record)}"
    return "emulated" if record.latency_ns is None else _ms(record.latency_ns.p50_ns, record)


def _percentile(percentile: int, record: Record) -> str:
    if record.mean_ns is not None or record.latency_ns is None:
        return ""
    return _ms(getattr(record.latency_ns, f"p{percentile}_ns"), record)


def _gain(record: Record, parent: Record | None) -> str:
    latency = record.latency_ns
    if record.mean_ns is not None or latency is None or parent is None or parent.latency_ns is None:
        return ""
    ratio = f"{parent.latency_ns.p50_ns / max(latency.p50_ns, 1):.2f}x"
    return f"~{ratio}" if record.taints or parent.taints else ratio


def _multiply_adds(record: Record) -> str:
    """`+` where operators without a rule are not in the count."""
    adds = record.measured.multiply_adds
    return ("" if adds is None else f"{adds / 1e6:.1f}") + ("+" if record.measured.unruled else "")


def _copies(record: Record, way: str) -> str:
    return "" if record.transfers is None else _ms(summarize(getattr(record.transfers, way)).p50_ns, record)
