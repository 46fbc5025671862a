"""Predictor: an artifact on camera frames, with a time for every stage."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.artifact.manifest import Artifact, open_artifact
from edge.artifact.model_file import ModelFile
from edge.engines.engine import EngineInfo, Session
from edge.errors import EngineError, UnsupportedError, UsageError
from edge.port import dequantize
from edge.predictor.artifact_session import open_artifact_session, require_as_told
from edge.predictor.choice import choose_engine, file_for
from edge.predictor.point_selftest import run_head_selftest
from edge.predictor.point_session import open_point_session, points_by, run_of
from edge.predictor.roads import Roads
from edge.predictor.selftest import SelftestResult, run_selftest
from edge.tasks.detect import selected
from edge.tasks.table import TASKS
from edge.tasks.task import ModelFacts, Prediction, StageTimes, Task, dated
from edge.vision.detector import Detector
from edge.vision.frame import Frame, PixelFormat

Pixels = npt.NDArray[np.uint8]


class Predictor:
    """A loaded artifact. Call it with a frame, from any thread; make it with `Predictor.load`.

    Calls from several threads wait for one another while the model runs. A context manager that closes it. A process
    that forks loads its own in the child, where this one is refused.
    """

    def __init__(
        self,
        artifact: Artifact,
        file: ModelFile,
        session: Session,
        *,
        threshold: float | None = None,
        top: int | None = None,
        head: Session | None = None,
        point_steps: int | None = None,
    ) -> None:
        """Join an opened artifact, the one of its files that runs, and the session that runs it; see `load`.

        `head` runs its point head, where it has one.
        """
        self._artifact = artifact
        self._session = session
        self._preprocess = artifact.manifest.preprocess
        require_as_told(artifact, file, session)
        self._task = TASKS[artifact.manifest.task]
        self._told = file.told
        told = tuple(file.outputs[place].described for place in file.told)
        self._facts = ModelFacts(
            outputs=told,
            names=artifact.manifest.labels.names,
            preprocess=self._preprocess,
            detection=_detector(artifact, threshold, top),
            points=points_by(artifact, file, None if head is None else run_of(head), point_steps),
        )
        self._head = head
        self._roads = Roads(file.inputs[0].described, self._preprocess)

    @classmethod
    def load(
        cls,
        artifact: str | Path | Artifact,
        *,
        engine: str | None = None,
        threads: int = 1,
        kernels: str | None = None,
        selftest: bool = True,
        threshold: float | None = None,
        top: int | None = None,
        point_steps: int | None = None,
    ) -> "Predictor":
        """Open an artifact, load it with an engine, and let the runtime prove that it gives the expected answers.

        Args:
            engine: key of ENGINES; None takes the first installed one of litert, tflite-runtime, onnxruntime.
            kernels: a kernel set of the engine; None is its default.
            selftest: False skips the proof.
            threshold: of a detector, the least probability of a box; None: the manifest's. top: boxes at most.
            point_steps: of a segmenter with a point head, how often points are predicted again; None: the manifest's.

        Raises:
            UsageError: a threshold, number of boxes or of steps that cannot be, or of a model that has none.
            ArtifactError: not an artifact, or damaged.
            EngineError: no engine for it, or one whose answers differ by more than the manifest allows.
            UnsupportedError: a task that has no predictor.
        """
        opened = artifact if isinstance(artifact, Artifact) else open_artifact(artifact)
        if opened.manifest.task not in TASKS:
            raise UnsupportedError(f"{opened.folder}: task '{opened.manifest.task}' has no predictor")
        chosen = engine or choose_engine(opened)
        file = file_for(opened, chosen)
        session = open_artifact_session(opened, file, chosen, threads=threads, kernels=kernels)
        head = open_point_session(opened, file, chosen, threads=threads, kernels=kernels)
        predictor = cls(opened, file, session, threshold=threshold, top=top, head=head, point_steps=point_steps)
        for result in _selftests(opened, file, session, head) if selftest else ():
            if not result.passed:
                raise EngineError(
                    f"{opened.folder}: self-test of {result.file}: differs by {result.largest:g}, {result.allowed:g} "
                    f"is allowed for {result.kernels}; this runtime does not compute what was verified"
                )
        return predictor

    @property
    def artifact(self) -> Artifact:
        """The opened artifact."""
        return self._artifact

    @property
    def task(self) -> Task[Any]:
        """What its predictions are, and how they are shown."""
        return self._task

    @property
    def info(self) -> EngineInfo:
        """What really runs."""
        return self._session.info

    def close(self) -> None:
        """Free what the runtime holds; later calls are refused (EngineError). Twice is as good as once."""
        self._session.close()
        if self._head is not None:
            self._head.close()

    def __enter__(self) -> "Predictor":
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close it."""
        self.close()

    def __call__(
        self,
        frame: Frame | Pixels,
        *,
        format: PixelFormat | None = None,
        region: tuple[int, int, int, int] | None = None,
        top_k: int | None = None,
        threshold: float | None = None,
        raw: bool = False,
    ) -> Prediction:
        """Predict one frame, of any size.

        Args:
            frame: a `Frame`, or an array as `Frame.image` describes it for the format.
            format: of an array, `bgr` by default, as OpenCV gives it.
            region: y, x, height and width of the part that the model is given; places in the prediction are the
                frame's all the same.
            top_k: so many classes instead of the best five, or boxes at most.
            threshold: the least probability of a box or of a label that holds, of a mask of one channel, or with which
                a class counts as decided.
            raw: keep the model's outputs (`Prediction.raw`).

        Raises:
            UsageError: no such frame, region or number, or one that the task does not have.
            EngineError: the model fails, or the predictor is closed or of another process.
        """
        start = time.perf_counter_ns()
        captured_ns = frame.captured_ns if isinstance(frame, Frame) else time.monotonic_ns()
        image, road = self._roads.to(frame, format, region)
        asked = road.asked
        if top_k is not None or threshold is not None:
            asked = replace(asked, top_k=top_k, threshold=threshold)
        road.fit(image)
        after_resize = time.perf_counter_ns()
        given = road.encode()
        after_quantize = time.perf_counter_ns()
        outputs = self._run(given)
        after_infer = time.perf_counter_ns()
        prediction: Prediction = self._task.predict(outputs, self._facts, road.frame_hw, asked)
        kept = self._real(outputs) if raw else None
        times = StageTimes(
            resize_ns=after_resize - start,
            quantize_ns=after_quantize - after_resize,
            infer_ns=after_infer - after_quantize,
            postprocess_ns=time.perf_counter_ns() - after_infer,
        )
        return dated(prediction, times, captured_ns, kept)

    def batch(self, frames: Sequence[Frame | Pixels], **asked: Any) -> list[Prediction]:
        """Predict several frames one after the other, in their order; `asked` as for one.

        Raises:
            UsageError, EngineError: as for one; nothing is answered then.
        """
        return [self(frame, **asked) for frame in frames]

    def values(self, frame: Frame | Pixels, *, format: PixelFormat | None = None) -> npt.NDArray[Any]:
        """What an evaluation counts (`Task.values`): `ranked_values`, a class map (h, w), or rows of boxes (n, 6)."""
        image, road = self._roads.to(frame, format, None)
        road.fit(image)
        return self._task.values(self._run(road.encode()), self._facts, road.frame_hw)

    def _run(self, raw: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], ...]:
        """The outputs that are told."""
        outputs = self._session.run([raw])
        return tuple([outputs[place] for place in self._told])

    def _real(self, outputs: tuple[npt.NDArray[Any], ...]) -> tuple[npt.NDArray[Any], ...]:
        """Real values behind the outputs; a class map as it is."""
        real = []
        for array, told in zip(outputs, self._facts.outputs, strict=True):
            value = array if told.meaning == "class_map" else dequantize(array, told.scale, told.zero_point)
            value.flags.writeable = False
            real.append(value)
        return tuple(real)


def _selftests(artifact: Artifact, file: ModelFile, session: Session, head: Session | None) -> Iterator[SelftestResult]:
    yield run_selftest(artifact, file.path, session)
    if head is not None:
        yield run_head_selftest(artifact, file, head)


def _detector(artifact: Artifact, threshold: float | None, top: int | None) -> Detector | None:
    """How outputs become boxes, by the manifest but for what is asked for otherwise; None of a task without boxes."""
    told = artifact.manifest.detection
    if told is not None:
        return selected(told.detector, threshold, top)
    if threshold is not None or top is not None:
        raise UsageError(f"{artifact.folder}: a threshold and a number of boxes are a detector's")
    return None
