"""The camera loop: read, predict, draw, write, with a time for every stage of every frame."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice

import cv2
import numpy as np
import numpy.typing as npt

from edge.camera.sinks import Sink
from edge.camera.sources import Frame, Source
from edge.percentile import nearest_rank
from edge.predictor.predictor import Prediction, Predictor, SegmentPrediction
from edge.vision.overlay import draw_class_map, draw_line, draw_scores

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
    source: Source,
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
        prediction = predictor(frame.image, colour_order=frame.colour_order)
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
        yield Seen(index=index, name=frame.name, prediction=prediction, times_ns=times_ns)
        if not all(wants_more):
            return


def draw(frame: Frame, prediction: Prediction, predictor: Predictor) -> Pixels:
    """The frame with the prediction and the times drawn on it: RGB uint8 (h, w, 3).

    A frame with a side below LEGIBLE_SIDE is enlarged by a whole factor first, so that the text hides little of it; no
    side is made longer than LARGEST_ENLARGED_SIDE.
    """
    short, long = sorted(frame.image.shape[:2])
    factor = max(1, min(-(-LEGIBLE_SIDE // short), LARGEST_ENLARGED_SIDE // long))
    rgb = _enlarged(frame.image, factor, cv2.INTER_LINEAR)
    if frame.colour_order == "bgr":
        rgb = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    if not isinstance(prediction, SegmentPrediction):
        drawn = draw_scores(rgb, prediction.scores)
    else:
        palette = predictor.artifact.manifest.labels.palette or ()
        class_map = _enlarged(prediction.class_map, factor, cv2.INTER_NEAREST_EXACT)
        drawn = draw_class_map(rgb, class_map, prediction.names, palette)
    infer_ms, total_ms = prediction.times.infer_ns / 1e6, prediction.times.total_ns / 1e6
    return draw_line(drawn, f"{predictor.artifact.manifest.name}: {infer_ms:.1f} ms of {total_ms:.1f} ms")


def _enlarged(image: Pixels, factor: int, interpolation: int) -> Pixels:
    if factor == 1:
        return image
    size_wh = (image.shape[1] * factor, image.shape[0] * factor)
    return np.asarray(cv2.resize(image, size_wh, interpolation=interpolation), dtype=image.dtype)


def class_shares(prediction: SegmentPrediction) -> dict[str, float]:
    """Share of the frame that every class covers, the largest first; classes that are absent are omitted."""
    counts = np.bincount(prediction.class_map.ravel(), minlength=256)[: len(prediction.names)]
    order = [int(index) for index in np.argsort(-counts, kind="stable") if counts[index]]
    return {prediction.names[index]: float(counts[index]) / prediction.class_map.size for index in order}


def summarize(seen_ns: Sequence[dict[str, int]]) -> list[StageSummary]:
    """p50 and p90 of every stage and of the total, over at least one frame's times."""
    summary = []
    for stage in (*STAGES, END_TO_END):
        ordered = sorted(times[stage] for times in seen_ns)
        summary.append(StageSummary(stage=stage, p50_ns=nearest_rank(ordered, 50), p90_ns=nearest_rank(ordered, 90)))
    return summary
