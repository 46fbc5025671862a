"""What the camera loop tells: JSON objects for a program, short lines and a table for a person."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from edge.camera.loop import Seen, StageSummary, class_shares
from edge.engines.engine import EngineInfo
from edge.predictor.predictor import LabelsPrediction, Prediction, SegmentPrediction

SHOWN_CLASSES = 3


def prediction_object(prediction: Prediction) -> dict[str, Any]:
    """A prediction as plain data: `classes` with probabilities, or `shares` of the frame.

    Of independent labels also `labels`, the names of those that hold.
    """
    if isinstance(prediction, SegmentPrediction):
        return {"shares": class_shares(prediction)}
    scores = prediction.scores
    ranked = zip(scores.indices, scores.names, scores.probabilities, strict=True)
    classes = {"classes": [{"index": i, "name": name, "probability": p} for i, name, p in ranked]}
    return {"labels": list(prediction.labels), **classes} if isinstance(prediction, LabelsPrediction) else classes


def frame_object(seen: Seen) -> dict[str, Any]:
    """One frame's JSON object."""
    return {
        "kind": "frame",
        "index": seen.index,
        "name": seen.name,
        **prediction_object(seen.prediction),
        "times_ns": seen.times_ns,
    }


def summary_object(summary: Sequence[StageSummary], frames: int, info: EngineInfo) -> dict[str, Any]:
    """The JSON object after the last frame."""
    stages = {entry.stage: {"p50_ns": entry.p50_ns, "p90_ns": entry.p90_ns} for entry in summary}
    return {"kind": "summary", "frames": frames, "engine": asdict(info), "stages": stages}


def frame_line(seen: Seen) -> str:
    """One picture's prediction on one line: `dog.jpg  golden retriever 93.1 %, ...`.

    Of independent labels all that hold; where none does, `no label` and the best in brackets.
    """
    shown, form = SHOWN_CLASSES, "{}"
    if isinstance(seen.prediction, SegmentPrediction):
        pairs = list(class_shares(seen.prediction).items())
    else:
        scores = seen.prediction.scores
        pairs = list(zip(scores.names, scores.probabilities, strict=True))
        if isinstance(seen.prediction, LabelsPrediction):
            shown, form = (scores.decided, "{}") if scores.decided else (SHOWN_CLASSES, "no label ({})")
    told = ", ".join(f"{name} {100 * value:.1f} %" for name, value in pairs[:shown])
    return f"{seen.name}  {form.format(told)}"


def summary_table(summary: Sequence[StageSummary]) -> Table:
    """p50 and p90 per stage in milliseconds."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stage")
    for name in ("p50 ms", "p90 ms"):
        table.add_column(name, justify="right")
    for entry in summary:
        table.add_row(entry.stage, f"{entry.p50_ns / 1e6:.3f}", f"{entry.p90_ns / 1e6:.3f}")
    return table
