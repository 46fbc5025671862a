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
from edge.tasks.task import ModelFacts
from edge.vision.detector import detector_of
from edge.vision.encoding import input_encoder
from edge.vision.pixels import Geometry, Pixels, resize


@dataclass(frozen=True, kw_only=True, eq=False)
class Stages:
    """`run` takes the picture through all stages once and gives their nanoseconds, in the order of STAGES."""

    frame_hw: tuple[int, int]
    run: Callable[[], tuple[int, ...]]


def stages(spec: Mapping[str, Any], jpeg: bytes, session: Session, clock: Clock) -> Stages:
    """Prepare the stages of one subject.

    Args:
        spec: `preprocess`, `input`, `outputs` (a `DescribedPort` each, without the shape), `told` (the outputs'
            places), `task`, `classes`, `detection` (a manifest's section, or None).

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
    facts = ModelFacts(outputs=outputs, names=names, preprocess=model_order, detection=detector)
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
        task.predict(tuple(found[place] for place in told), facts, frame_hw)
        return (
            decoded - start,
            after_resize - decoded,
            quantized - after_resize,
            inferred - quantized,
            clock() - inferred,
        )

    return Stages(frame_hw=frame_hw, run=run)


def _described(told: Mapping[str, Any], seen: Port) -> DescribedPort:
    """A port as the artifact describes it; its shape as the runtime shows it."""
    return DescribedPort(**told, shape=seen.shape)
