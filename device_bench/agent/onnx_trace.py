"""ONNX Runtime's profile as it lies on disk: a JSON list of events, not believed until it is consistent."""

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import EngineError

MOST_BYTES = 256 * 2**20
MICROSECOND_NS = 1000
SUFFIX = "_kernel_time"
WHAT_TO_DO = "this version of ONNX Runtime writes a profile that is not understood"


@dataclass(frozen=True, kw_only=True)
class TracedNode:
    """One executed node.

    Attributes:
        name: as the runtime calls it; op_type, provider: what ran it, where.
        dtype: of its first output, in ONNX Runtime's words; '' where it is not told.
        bytes_moved: its activations, constants and outputs; 0 where they are not told.
        tensors: how many inputs and outputs the profile describes; doing so costs time within the durations.
        durations_ns: one for each run of the session, whole microseconds as the runtime writes them, rounded down.
    """

    name: str
    op_type: str
    provider: str
    dtype: str
    bytes_moved: int
    tensors: int
    durations_ns: tuple[int, ...]


def read_trace(path: Path, runs: int) -> list[TracedNode]:
    """The nodes of a profile in order of execution. What runs inside another node (a loop's body) is in that one.

    Args:
        runs: how often the session ran.

    Raises:
        EngineError: the file is missing, too large or no profile, holds another number of runs, or its runs differ in
            their nodes (the runtime stops recording after a million events).
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise EngineError(
                f"onnxruntime: its profile has {path.stat().st_size} bytes, at most {MOST_BYTES} are read"
            )
        events = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EngineError(f"onnxruntime: its profile cannot be read: {error}") from error
    return traced_nodes(events, runs)


def traced_nodes(events: Any, runs: int) -> list[TracedNode]:
    """See `read_trace`."""
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise EngineError(f"onnxruntime: its profile is not a list of events; {WHAT_TO_DO}")
    spans = sorted((_span(event) for event in events if event.get("name") == "model_run"), key=lambda span: span[0])
    if len(spans) != runs:
        raise EngineError(f"onnxruntime: its profile tells of {len(spans)} runs, there were {runs}; {WHAT_TO_DO}")
    kernels = [event for event in events if event.get("cat") == "Node" and str(event.get("name")).endswith(SUFFIX)]
    by_run: list[list[Mapping[str, Any]]] = [[] for _ in spans]
    starts = [start for start, _ in spans]
    for event in _outermost(kernels):
        start, end = _span(event)
        run = bisect_right(starts, start) - 1
        if run < 0 or end > spans[run][1]:
            raise EngineError(f"onnxruntime: its profile has '{event['name']}' outside every run; {WHAT_TO_DO}")
        by_run[run].append(event)
    return _over_runs(by_run)


def _over_runs(by_run: Sequence[Sequence[Mapping[str, Any]]]) -> list[TracedNode]:
    first = [_identity(event) for event in by_run[0]] if by_run else []
    if not first:
        raise EngineError(f"onnxruntime: its profile names no node; {WHAT_TO_DO}")
    for number, events in enumerate(by_run):
        if [_identity(event) for event in events] != first:
            raise EngineError(
                f"onnxruntime: its profile has {len(events)} nodes in run {number} and {len(first)} in the first one, "
                "or others; explain with fewer --rounds"
            )
    return [
        TracedNode(
            name=str(shown[0]["name"])[: -len(SUFFIX)],
            op_type=str(shown[0]["args"]["op_name"]),
            provider=str(shown[0]["args"].get("provider", "")),
            dtype=_dtype(shown[0]["args"]),
            bytes_moved=sum(
                _size(shown[0]["args"], key) for key in ("activation_size", "parameter_size", "output_size")
            ),
            tensors=sum(_count(shown[0]["args"], key) for key in ("input_type_shape", "output_type_shape")),
            durations_ns=tuple(event["dur"] * MICROSECOND_NS for event in shown),
        )
        for shown in zip(*by_run, strict=True)
    ]


def _outermost(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The events in order of their start, those within another one omitted."""
    kept: list[Mapping[str, Any]] = []
    last_end = -1
    for start, end, place in sorted((*_span(event), place) for place, event in enumerate(events)):
        if start < last_end and end <= last_end:
            continue
        kept.append(events[place])
        last_end = max(last_end, end)
    return kept


def _span(event: Mapping[str, Any]) -> tuple[int, int]:
    start, duration = event.get("ts"), event.get("dur")
    if type(start) is not int or type(duration) is not int or start < 0 or duration < 0:
        raise EngineError(
            f"onnxruntime: its profile has an event without times ({start!r}, {duration!r}); {WHAT_TO_DO}"
        )
    return start, start + duration


def _identity(event: Mapping[str, Any]) -> tuple[str, str]:
    told = event.get("args")
    if not isinstance(told, dict) or "op_name" not in told:
        raise EngineError(f"onnxruntime: its profile has the node '{event['name']}' without a type; {WHAT_TO_DO}")
    return str(event["name"]), str(told.get("node_index", told["op_name"]))


def _dtype(told: Mapping[str, Any]) -> str:
    shapes = told.get("output_type_shape")
    if isinstance(shapes, list) and shapes and isinstance(shapes[0], dict) and shapes[0]:
        return str(next(iter(shapes[0])))
    return ""


def _count(told: Mapping[str, Any], key: str) -> int:
    shapes = told.get(key)
    return len(shapes) if isinstance(shapes, list) else 0


def _size(told: Mapping[str, Any], key: str) -> int:
    text = str(told.get(key, "0"))
    return int(text) if text.isdecimal() and len(text) < 16 else 0
