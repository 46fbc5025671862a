"""Predictor: an artifact on camera frames, with a time for every stage."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edge.artifact.manifest import Artifact, ModelFile, open_artifact
from edge.artifact.output_form import has_independent_labels
from edge.engines.engine import EngineInfo, Session
from edge.errors import EngineError, UnsupportedError, UsageError, unknown_name
from edge.predictor.artifact_session import open_artifact_session, require_as_told
from edge.predictor.choice import choose_engine, file_for
from edge.predictor.selftest import run_selftest
from edge.vision.encoding import input_encoder
from edge.vision.postprocess import ClassScores, class_scores, frame_class_map, ranked_values
from edge.vision.preprocess import resize

Pixels = npt.NDArray[np.uint8]
ColourOrder = Literal["bgr", "rgb"]
COLOUR_ORDERS: tuple[ColourOrder, ...] = ("bgr", "rgb")
TOP = 5


@dataclass(frozen=True, kw_only=True)
class StageTimes:
    """Nanoseconds of one prediction's stages, in their order."""

    resize_ns: int
    quantize_ns: int
    infer_ns: int
    postprocess_ns: int

    @property
    def total_ns(self) -> int:
        """From the frame to the prediction."""
        return self.resize_ns + self.quantize_ns + self.infer_ns + self.postprocess_ns


@dataclass(frozen=True, kw_only=True)
class ClassPrediction:
    """A classifier's prediction: the best classes, at most TOP of them, the best first."""

    scores: ClassScores
    times: StageTimes

    @property
    def label(self) -> str:
        """Name of the best class."""
        return self.scores.names[0]

    @property
    def probability(self) -> float:
        """Probability of the best class, in [0, 1]."""
        return self.scores.probabilities[0]


@dataclass(frozen=True, kw_only=True)
class LabelsPrediction:
    """The prediction of a classifier whose labels are independent: those that hold, and the best scores beside them."""

    scores: ClassScores
    times: StageTimes

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels with a probability of at least 0.5, the most probable first; none, one or all."""
        return self.scores.names[: self.scores.decided]


@dataclass(frozen=True, kw_only=True, eq=False)
class SegmentPrediction:
    """A segmenter's prediction.

    Attributes:
        class_map: uint8 (frame height, frame width), class indices; 255 where the model saw nothing (fit `crop`). A
            mask of one channel is 1 where its probability is at least 0.5, else 0.
        names: class names by index.
    """

    class_map: Pixels
    names: tuple[str, ...]
    times: StageTimes


Prediction = ClassPrediction | LabelsPrediction | SegmentPrediction


class Predictor:
    """A loaded artifact. Call it with a frame, from any thread; make it with `Predictor.load`.

    Calls from several threads wait for one another while the model runs. A context manager that closes it. A process
    that forks loads its own in the child, where this one is refused.
    """

    def __init__(self, artifact: Artifact, file: ModelFile, session: Session) -> None:
        """Join an opened artifact, the one of its files that runs, and the session that runs it."""
        self._artifact = artifact
        self._session = session
        self._preprocess = artifact.manifest.preprocess
        require_as_told(artifact, file, session)
        self._output = file.outputs[0]  # the only one of a task that has a predictor, see `edge.artifact.output_form`
        self._independent = has_independent_labels(artifact.manifest)
        self._encode = input_encoder(file.inputs[0], self._preprocess)
        # `resize` takes RGB and makes the model's order; for a BGR frame the swap is the opposite one.
        opposite: ColourOrder = "rgb" if self._preprocess.colour_order == "bgr" else "bgr"
        swapped = self._preprocess.model_copy(update={"colour_order": opposite})
        self._resize_as = {"rgb": self._preprocess, "bgr": swapped}

    @classmethod
    def load(
        cls,
        artifact: str | Path | Artifact,
        *,
        engine: str | None = None,
        threads: int = 1,
        kernels: str | None = None,
        selftest: bool = True,
    ) -> "Predictor":
        """Open an artifact, load it with an engine, and let the runtime prove that it gives the expected answers.

        Args:
            engine: key of ENGINES; None takes the first installed one of litert, tflite-runtime, onnxruntime.
            kernels: a kernel set of the engine; None is its default.
            selftest: False skips the proof.

        Raises:
            ArtifactError: not an artifact, or damaged.
            EngineError: no engine for it, or one whose answers differ by more than the manifest allows.
            UnsupportedError: a task that has no predictor.
        """
        opened = artifact if isinstance(artifact, Artifact) else open_artifact(artifact)
        if opened.manifest.task not in ("classify", "segment"):
            raise UnsupportedError(f"{opened.folder}: task '{opened.manifest.task}' has no predictor")
        chosen = engine or choose_engine(opened)
        file = file_for(opened, chosen)
        session = open_artifact_session(opened, file, chosen, threads=threads, kernels=kernels)
        predictor = cls(opened, file, session)
        if selftest:
            result = run_selftest(opened, file.path, session)
            if not result.passed:
                raise EngineError(
                    f"{opened.folder}: self-test of {file.path}: differs by {result.largest:g}, {result.allowed:g} is "
                    f"allowed for {result.kernels}; this runtime does not compute what was verified"
                )
        return predictor

    @property
    def artifact(self) -> Artifact:
        """The opened artifact."""
        return self._artifact

    @property
    def info(self) -> EngineInfo:
        """What really runs."""
        return self._session.info

    def close(self) -> None:
        """Free what the runtime holds; later calls are refused (EngineError). Twice is as good as once."""
        self._session.close()

    def __enter__(self) -> "Predictor":
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close it."""
        self.close()

    def __call__(self, frame: Pixels, *, colour_order: ColourOrder = "bgr") -> Prediction:
        """Predict one frame.

        Args:
            frame: uint8 (h, w, 3) of any size.
            colour_order: of the frame: `bgr` as OpenCV gives it, or `rgb`.

        Raises:
            UsageError: not such a frame, or an unknown colour order.
            EngineError: the model fails, or the predictor is closed or of another process.
        """
        if colour_order not in COLOUR_ORDERS:
            raise UsageError(unknown_name("colour order", colour_order, COLOUR_ORDERS))
        start = time.perf_counter_ns()
        resized = resize(frame, self._resize_as[colour_order])
        after_resize = time.perf_counter_ns()
        raw = self._encode(resized[None])
        after_quantize = time.perf_counter_ns()
        output = self._session.run([raw])[0]
        after_infer = time.perf_counter_ns()
        frame_hw = (frame.shape[0], frame.shape[1])
        result: ClassScores | Pixels
        if self._artifact.manifest.task == "classify":
            result = class_scores(output, self._output, self._artifact.manifest.labels.names, top=TOP)
        else:
            result = frame_class_map(output, self._output, frame_hw, self._preprocess)
        times = StageTimes(
            resize_ns=after_resize - start,
            quantize_ns=after_quantize - after_resize,
            infer_ns=after_infer - after_quantize,
            postprocess_ns=time.perf_counter_ns() - after_infer,
        )
        if isinstance(result, ClassScores):
            kind = LabelsPrediction if self._independent else ClassPrediction
            return kind(scores=result, times=times)
        return SegmentPrediction(class_map=result, names=self._artifact.manifest.labels.names, times=times)

    def values(self, frame: Pixels, *, colour_order: ColourOrder = "bgr") -> npt.NDArray[Any]:
        """What an evaluation counts: a classifier's `ranked_values` (classes,), a segmenter's class map (h, w)."""
        output = self._session.run([self._encode(resize(frame, self._resize_as[colour_order])[None])])[0]
        if self._artifact.manifest.task == "classify":
            return ranked_values(output, self._output)
        return frame_class_map(output, self._output, (frame.shape[0], frame.shape[1]), self._preprocess)
