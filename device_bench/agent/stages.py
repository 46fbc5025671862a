"""From an encoded picture to the prediction, each stage timed: the arithmetic of a Predictor, without its host.

OpenCV is needed here and nowhere else on a device: this module is imported only when the stages are asked for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np

from device_bench.agent.loop import Clock
from edge.engines.engine import Session
from edge.errors import EngineError
from edge.port import DescribedPort, Port
from edge.tasks.table import TASKS
from edge.tasks.task import ASKED, ModelFacts
from edge.vision.detector import detector_of
from edge.vision.encoding import input_encoder
from edge.vision.pixels import Geometry, Pixels, resize
from edge.vision.point_rend import STAGES as POINT_STAGES
from edge.vision.point_rend import PointRule, Points


@dataclass(frozen=True, kw_only=True, eq=False)
class Stages:
    """`run` takes the picture through all stages once and gives their nanoseconds, in the order of STAGES.

    Of a model with a point head those of `edge.vision.point_rend.STAGES` follow, which are parts of the last one.
    """

    frame_hw: tuple[int, int]
    run: Callable[[], tuple[int, ...]]


def stages(
    spec: Mapping[str, Any], jpeg: bytes, session: Session, clock: Clock, head: "Session | None" = None
) -> Stages:
    """Prepare the stages of one subject.

    Args:
        spec: `preprocess`, `input`, `outputs` (a `DescribedPort` each, without the shape), `told` (the outputs'
            places), `task`, `classes`, `detection` (a manifest's section, or None); of a model with a point head
            `point_head`: `given`, `answer`, `rule`.
        head: runs the point head; its parts of the last stage follow the stages.

    Raises:
        EngineError: the picture does not decode.
    """
    numbers = {**spec["preprocess"], "mean": tuple(spec["preprocess"]["mean"]), "std": tuple(spec["preprocess"]["std"])}
    model_order = Geometry(**numbers)
    # `resize` takes RGB and makes the model's order; for OpenCV's BGR the swap is the opposite one.
    from_bgr = Geometry(**{**numbers, "colour_order": "rgb" if model_order.colour_order == "bgr" else "bgr"})
    encode = input_encoder(_described(spec["input"], session.inputs[0]), model_order)
    task, names = TASKS[spec["task"]], tuple(str(index) for index in range(spec["classes"]))
    told = [int(place) for place in spec["told"]]
    outputs = tuple(_described(one, session.outputs[place]) for one, place in zip(spec["outputs"], told, strict=True))
    detector = None if spec["detection"] is None else detector_of(spec["detection"])
    parts = PointTimes(clock)
    points = None if head is None else _points(spec["point_head"], head, parts)
    facts = ModelFacts(outputs=outputs, names=names, preprocess=model_order, detection=detector, points=points)
    encoded = np.frombuffer(jpeg, np.uint8)
    first = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    if first is None:
        raise EngineError(f"a picture of {len(jpeg)} bytes that OpenCV {cv2.__version__} does not decode")
    frame_hw = (int(first.shape[0]), int(first.shape[1]))

    def run() -> tuple[int, ...]:
        start = clock()
        frame = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))
        decoded = clock()
        resized = resize(cast(Pixels, frame), from_bgr)
        after_resize = clock()
        raw = encode(resized[None])
        quantized = clock()
        found = session.run([raw])
        inferred = clock()
        parts.begin(inferred)
        task.complete(task.predict(tuple(found[place] for place in told), facts, frame_hw, ASKED))
        return (
            decoded - start,
            after_resize - decoded,
            quantized - after_resize,
            inferred - quantized,
            clock() - inferred,
            *(parts.taken if points is not None else ()),
        )

    return Stages(frame_hw=frame_hw, run=run)


class PointTimes:
    """How long each of the point head's stages took since `begin`, in the order of their table."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.begin(0)

    def begin(self, now_ns: int) -> None:
        """Start from nothing at a time of the clock."""
        self._last = now_ns
        self._spent = dict.fromkeys(POINT_STAGES, 0)

    def ended(self, stage: str) -> None:
        """Add what passed since the last call to a stage."""
        now = self._clock()
        self._spent[stage] += now - self._last
        self._last = now

    @property
    def taken(self) -> "tuple[int, ...]":
        """Nanoseconds by stage."""
        return tuple(self._spent.values())


def _points(spec: Mapping[str, Any], head: Session, parts: PointTimes) -> Points:
    rule = {**spec["rule"], "size_hw": tuple(spec["rule"]["size_hw"])}
    return Points(
        rule=PointRule(**rule),
        given=_described(spec["given"], head.inputs[0]),
        answer=_described(spec["answer"], head.outputs[0]),
        run=lambda given: head.run([given])[0],
        ended=parts.ended,
    )


def _described(told: Mapping[str, Any], seen: Port) -> DescribedPort:
    """A port as the artifact describes it; its shape as the runtime shows it."""
    return DescribedPort(**told, shape=seen.shape)
