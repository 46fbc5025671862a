"""What the camera loop tells: JSON objects for a program, short lines and a table for a person."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from edge.camera.inference import Seen
from edge.camera.run_counts import StageSummary, State
from edge.engines.engine import EngineInfo


def frame_object(seen: Seen) -> dict[str, Any]:
    """One frame's JSON object."""
    return {
        "kind": "frame",
        "index": seen.index,
        "name": seen.name,
        **seen.task.plain(seen.prediction),
        "age_ns": seen.age_ns,
        "times_ns": seen.times_ns,
    }


def summary_object(summary: Sequence[StageSummary], frames: int, state: State, info: EngineInfo) -> dict[str, Any]:
    """The JSON object after the last frame; `frames` is how many were told."""
    return {
        "kind": "summary",
        "frames": frames,
        "dropped": state.dropped,
        "undelivered": state.undelivered,
        "replacements": state.replacements,
        "engine": asdict(info),
        "stages": {entry.stage: {"p50_ns": entry.p50_ns, "p90_ns": entry.p90_ns} for entry in summary},
    }


def frame_line(seen: Seen) -> str:
    """One picture's prediction on one line: `dog.jpg  golden retriever 93.1 %, ...`; see `Task.line`."""
    return f"{seen.name}  {seen.task.line(seen.prediction)}"


def summary_table(summary: Sequence[StageSummary]) -> Table:
    """p50 and p90 per stage in milliseconds."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stage")
    for name in ("p50 ms", "p90 ms"):
        table.add_column(name, justify="right")
    for entry in summary:
        table.add_row(entry.stage, f"{entry.p50_ns / 1e6:.3f}", f"{entry.p90_ns / 1e6:.3f}")
    return table
