"""The rows of `tests.benchmarks.ptq_peers` as Markdown: the table, and how this product stands beside the best."""

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = (
    "tool", "file", "top-1", "agreement", "SQNR, dB", "values differing", "KiB", "p50, ms", "seconds", "peak MiB",
)  # fmt: skip
AGAINST = (
    "beside the best peer", "file", "top-1, points", "agreement, points", "size", "p50", "seconds", "peak memory",
)  # fmt: skip
Row = Mapping[str, Any]
KINDS = ("tflite", "onnx")


def lines(rows: Sequence[Row], p50_ns: Mapping[str, int]) -> list[str]:
    """The table, a line for each tool that failed, and the comparison.

    Args:
        rows: `row`, `named`, `ours`, and either `failed` (why) or `files` (by format, see `measured_file`),
            `cpu_seconds` and `peak_bytes`, None for the float network.
        p50_ns: by `row.format`.
    """
    done = [row for row in rows if "files" in row]
    made = [f"| {' | '.join(COLUMNS)} |", f"| --- | ---{' | ---:' * (len(COLUMNS) - 2)} |"]
    for kind in KINDS:
        made += [f"| {' | '.join(_cells(row, kind, p50_ns))} |" for row in done if kind in row["files"]]
    told = [
        f"{row['named']}: {size / 1024:.1f} KiB of the {kind} file are labels and metadata."
        for row in done
        for kind, file in row["files"].items()
        if (size := file["metadata_bytes"])
    ]
    made += ["", *told] if told else []
    if failed := [f"- {row['named']}: {row['failed']}" for row in rows if "failed" in row]:
        made += ["", "No row:", "", *failed]
    compared = [against for row in done if row["ours"] for against in _against(row, done, p50_ns)]
    if compared:
        made += ["", f"| {' | '.join(AGAINST)} |", f"| --- | ---{' | ---:' * (len(AGAINST) - 2)} |", *compared]
    return made


def _cells(row: Row, kind: str, p50_ns: Mapping[str, int]) -> list[str]:
    file, nanoseconds = row["files"][kind], p50_ns.get(f"{row['row']}.{kind}")
    return [
        row["named"],
        kind,
        f"{file['top1']:.2%}",
        f"{file['agreement']:.2%}",
        f"{file['sqnr_db']:.2f}" if file["sqnr_db"] < 100 else "",
        "-" if file["differing"] is None else f"{file['differing']:,} of {file['values']:,}",
        f"{file['size_bytes'] / 1024:.0f}",
        "" if nanoseconds is None else f"{nanoseconds / 1e6:.3f}",
        "" if row["cpu_seconds"] is None else f"{row['cpu_seconds']:.1f}",
        "" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 2**20:.0f}",
    ]


def _against(row: Row, done: Sequence[Row], p50_ns: Mapping[str, int]) -> list[str]:
    """One of our rows beside the best of the peers, figure by figure: files with those of their format."""
    peers = [peer for peer in done if not peer["ours"] and peer["cpu_seconds"] is not None]
    told = []
    for kind in KINDS:
        others = [peer for peer in peers if kind in peer["files"]]
        if kind not in row["files"] or not others:
            continue
        file, times = row["files"][kind], {peer["row"]: p50_ns.get(f"{peer['row']}.{kind}") for peer in others}
        cells = [row["named"], kind]
        for key in ("top1", "agreement"):
            best = max(others, key=lambda peer: float(peer["files"][kind][key]))
            cells.append(f"{100 * (file[key] - best['files'][kind][key]):+.2f} ({best['row']})")
        cells.append(_ratio(file["size_bytes"], {peer["row"]: peer["files"][kind]["size_bytes"] for peer in others}))
        cells.append(_ratio(p50_ns.get(f"{row['row']}.{kind}"), times))
        cells += [_ratio(row[key], {peer["row"]: peer[key] for peer in peers}) for key in ("cpu_seconds", "peak_bytes")]
        told.append(f"| {' | '.join(cells)} |")
    return told


def _ratio(ours: float | None, theirs: Mapping[str, float | None]) -> str:
    """How many times the least of the peers', by whom; empty where one side was not measured."""
    known = {name: value for name, value in theirs.items() if value is not None}
    if ours is None or not known:
        return ""
    least = min(known, key=lambda name: known[name])
    return f"x{ours / known[least]:.2f} ({least})"
