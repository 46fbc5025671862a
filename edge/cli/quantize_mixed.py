"""The budgets of `edge quantize`: files measured in turn, and the table of what got 16 bits."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from edge.artifact.manifest import Artifact
from edge.artifact.units import duration_ns, duration_text, size_bytes
from edge.errors import printable
from edge.terminal import tell

if TYPE_CHECKING:
    from converters.convert.budgets import Budgets
    from edge.quantization.ptq.judge import Score
    from edge.quantization.ptq.wider import Cost, Wider

ENGINE = "litert"


def budgets_of(size: str | None, latency: str | None) -> "Budgets | None":
    """What the options allow; None without any. Refuses (UsageError) a quantity that cannot be read."""
    from converters.convert.budgets import Budgets

    if size is None and latency is None:
        return None
    return Budgets(
        size_bytes=None if size is None else size_bytes(size),
        latency_ns=None if latency is None else duration_ns(latency),
        latencies=_latencies,
    )


def _latencies(files: Sequence[bytes]) -> Sequence[int]:
    """The median latency of TFLite files on this machine, in turn in one job, one thread."""
    from device_bench.bench.bench import bench
    from device_bench.records.percentiles import summarize
    from device_bench.targets.local import LocalTarget
    from edge.cli.latency import SHORT_PLAN
    from edge.files.leftovers import temporary_folder

    with temporary_folder() as folder:
        paths = [Path(folder) / f"{number}.tflite" for number in range(len(files))]
        for path, data in zip(paths, files, strict=True):
            path.write_bytes(data)
        command = printable(shlex.join(["edge", *sys.argv[1:]]))
        records = bench(paths, (ENGINE,), SHORT_PLAN, LocalTarget(), command=command)
    return [(record.latency_ns or summarize(record.samples_ns)).p50_ns for record in records]


def wider_table(wider: "Wider") -> Table:
    """A row per activation that was tried in 16 bits."""
    table = Table(title="activations in 16 bits, in the order of decibels per multiply-add", title_justify="left")
    for column in ("layer", "form", "operators", "gain dB", "SQNR dB", "agreement", "bytes", "latency", "kept"):
        table.add_column(column, justify="left" if column in ("layer", "form", "kept") else "right")
    table.add_row("", "int8", "", "", *_score(wider.before), *_cost(wider.cost), "")
    for one in wider.tried:
        count = str(len(one.region.operators))
        kept = "yes" if one.refused is None else f"no: {one.refused}"
        gain = f"{one.gain_db:+.2f}"
        table.add_row(one.region.layer, "int16", count, gain, *_score(one.score), *_cost(one.cost), kept)
    table.add_row("result", "", "", "", *_score(wider.total), "", "", "")
    return table


def wider_lines(wider: "Wider") -> list[str]:
    """Why nothing was tried, where nothing was."""
    if wider.tried:
        return []
    if wider.cost.over is not None:
        return [f"no activation gets 16 bits: the INT8 file has {wider.cost.over}"]
    return ["no activation gets 16 bits: none brings anything, or the agreement floor holds without"]


def met_budgets(artifact: Artifact) -> bool:
    """Whether an artifact holds its budgets; says so where not even its INT8 form does."""
    steps = artifact.manifest.quantization.steps
    if steps is None or steps.mixed is None or steps.mixed.over is None:
        return True
    tell(f"budget not held: the INT8 file has {steps.mixed.over}")
    return False


def _score(score: "Score") -> tuple[str, str]:
    return f"{score.sqnr_db:.2f}", "" if score.agreement is None else f"{score.agreement:.1%}"


def _cost(cost: "Cost | None") -> tuple[str, str]:
    if cost is None:
        return "", ""
    return f"{cost.size_bytes:,}", "" if cost.latency_ns is None else duration_text(cost.latency_ns)
