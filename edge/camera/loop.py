"""The camera loop: read, predict, draw, write, with a time for every stage of every frame."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.camera.sinks import Sink
from edge.camera.sources.source import Stream
from edge.percentile import nearest_rank
from edge.predictor.predictor import Predictor
from edge.tasks.task import Prediction, Task
from edge.vision.frame import Frame
from edge.vision.overlay import draw_line

Pixels = npt.NDArray[np.uint8]
Clock = Callable[[], int]
STAGES = ("read", "resize", "quantize", "infer", "postprocess", "draw", "write")
END_TO_END = "total"
LEGIBLE_SIDE = 288
LARGEST_ENLARGED_SIDE = 4096


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """One frame's prediction and stage times, `times_ns[stage]` for every stage of STAGES and their sum as `total`."""

    index: int
    name: str
    task: Task[Any]
    prediction: Prediction
    times_ns: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class StageSummary:
    """Percentiles (nearest rank) of one stage over all frames."""

    stage: str
    p50_ns: int
    p90_ns: int


def watch(
    predictor: Predictor,
    source: Stream,
    sinks: Sequence[Sink],
    *,
    limit: int | None = None,
    ended: Callable[[], bool] = lambda: False,
    clock: Clock = time.perf_counter_ns,
) -> Iterator[Seen]:
    """Run frames through a predictor and hand the drawn ones to the sinks.

    Ends with the source, after `limit` frames, when a sink asks for no more, or when `ended` says so between frames.

    Args:
        sinks: without any, nothing is drawn.
    """
    frames = islice(source.frames(), limit)
    for index in count():
        if ended():
            return
        start = clock()
        frame = next(frames, None)
        if frame is None:
            return
        after_read = clock()
        prediction = predictor(frame.rgb(), colour_order="rgb") if frame.format == "rgb" else predictor(frame.bgr())
        before_draw = clock()
        drawn = draw(frame, prediction, predictor) if sinks else None
        after_draw = clock()
        wants_more = [sink.write(drawn, frame.name) for sink in sinks] if drawn is not None else []
        times = prediction.times
        times_ns = {
            "read": after_read - start,
            "resize": times.resize_ns,
            "quantize": times.quantize_ns,
            "infer": times.infer_ns,
            "postprocess": times.postprocess_ns,
            "draw": after_draw - before_draw,
            "write": clock() - after_draw,
        }
        times_ns[END_TO_END] = sum(times_ns.values())
        yield Seen(index=index, name=frame.name, task=predictor.task, prediction=prediction, times_ns=times_ns)
        if not all(wants_more):
            return


def draw(frame: Frame, prediction: Prediction, predictor: Predictor) -> Pixels:
    """The frame with the prediction and the times drawn on it: RGB uint8 (h, w, 3).

    A frame with a side below LEGIBLE_SIDE is enlarged by a whole factor first, so that the text hides little of it; no
    side is made longer than LARGEST_ENLARGED_SIDE.
    """
    short, long = sorted(frame.size_hw)
    factor = max(1, min(-(-LEGIBLE_SIDE // short), LARGEST_ENLARGED_SIDE // long))
    rgb = frame.rgb()
    if factor > 1:
        size_wh = (rgb.shape[1] * factor, rgb.shape[0] * factor)
        rgb = np.asarray(cv2.resize(rgb, size_wh, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    drawn = predictor.task.draw(rgb, prediction, predictor.artifact.manifest.labels.palette or ())
    infer_ms, total_ms = prediction.times.infer_ns / 1e6, prediction.times.total_ns / 1e6
    return draw_line(drawn, f"{predictor.artifact.manifest.name}: {infer_ms:.1f} ms of {total_ms:.1f} ms")


def summarize(seen_ns: Sequence[dict[str, int]]) -> list[StageSummary]:
    """p50 and p90 of every stage and of the total, over at least one frame's times."""
    summary = []
    for stage in (*STAGES, END_TO_END):
        ordered = sorted(times[stage] for times in seen_ns)
        summary.append(StageSummary(stage=stage, p50_ns=nearest_rank(ordered, 50), p90_ns=nearest_rank(ordered, 90)))
    return summary
