"""What predict() costs beside the model, against the two loops that people write by hand.

    python -m tests.benchmarks.predict_overhead $EDGE_TEST_DATA

MobileNetV2 1.0 at 224, MobileNetV2 0.35 at 96 (random weights: the arithmetic is the same) and Fast-SCNN at 360x480,
INT8 as `edge quantize --effort plain` makes them, on LiteRT with one thread; a CamVid picture as a frame of 720x1280,
BGR. All take turns, on one interpreter, twice each, and the second time counts; what is told is the median of what lies
outside of its `invoke`.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import click
import cv2
import numpy as np
import numpy.typing as npt
import torch

from converters.convert.build import build_artifact
from converters.packaging.description import Description
from converters.packaging.output_meaning import Said
from converters.packaging.provenance import provenance
from edge.artifact.manifest import Artifact, QuantizationInfo, open_artifact
from edge.artifact.model_file import Labels
from edge.artifact.scheme import input_range
from edge.cli.main import main as edge
from edge.data.image_folder import image_folder
from edge.engines.litert import LiteRtSession, open_litert
from edge.models.pretrained import load_pretrained
from edge.models.registry import build
from edge.predictor.predictor import Predictor
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.capture import float_graph
from edge.tasks.segment import SegmentPrediction
from edge.vision.pixels import in_layout, normalize, normalize_table, placement, quantize_table, resize
from tests.benchmarks.ptq import preprocess_of

Pixels = npt.NDArray[np.uint8]
CLASSIFIERS = {"MobileNetV2 1.0, 224x224": (1.0, 224), "MobileNetV2 0.35, 96x96": (0.35, 96)}
SEGMENTER = "Fast-SCNN, 360x480"
FRAME_HW = (720, 1280)
TOP = 5
CALIBRATION = 20


class Timed:
    """An interpreter whose `invoke` is counted apart; all else is its own."""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        self.invoke_ns = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._interpreter, name)

    def invoke(self) -> None:
        """The model."""
        start = time.perf_counter_ns()
        self._interpreter.invoke()
        self.invoke_ns = time.perf_counter_ns() - start


class ByHand:
    """What both loops have in common: crop and resize of OpenCV, the interpreter's tensors, the answer."""

    def __init__(self, artifact: Artifact, interpreter: Any, frame_hw: tuple[int, int]) -> None:
        file = artifact.model_file("model.tflite")
        preprocess, (given,) = artifact.manifest.preprocess, file.inputs
        assert given.scale is not None and given.zero_point is not None  # of INT8
        place = placement(frame_hw, preprocess)
        self.rows, self.columns = place.in_frame
        self.size_wh = (preprocess.width, preprocess.height)
        self.mean, self.std = (np.array(value, np.float32) for value in (preprocess.mean, preprocess.std))
        self.scale, self.zero_point = np.float32(given.scale), given.zero_point
        table = quantize_table(preprocess, given.scale, given.zero_point, "int8")
        self.table = np.ascontiguousarray(table.T).reshape(1, 256, 3)
        self.row = np.ascontiguousarray(table[0])
        assert (table == table[0]).all()
        self.interpreter, self.answered = interpreter, file.outputs[0]
        self.frame_wh = frame_hw[::-1]
        (self.given,), (self.answer,) = interpreter.get_input_details(), interpreter.get_output_details()

    def small(self, frame: Pixels) -> Pixels:
        """The crop at the model's size, RGB."""
        resized = cv2.resize(frame[self.rows, self.columns], self.size_wh)
        return np.asarray(cv2.cvtColor(resized, cv2.COLOR_BGR2RGB), dtype=np.uint8)

    def by_lut(self, frame: Pixels) -> Any:
        """One look-up for every value, in a table with a row per channel."""
        return self.ask(cv2.LUT(self.small(frame), self.table))

    def by_row(self, frame: Pixels) -> Any:
        """The same by someone who knows that mean and deviation are one for all channels."""
        return self.ask(cv2.LUT(self.small(frame), self.row))

    def by_float(self, frame: Pixels) -> Any:
        """Normalize in float, quantize."""
        normalized = (self.small(frame).astype(np.float32) - self.mean) / self.std
        quantized = np.round(normalized / self.scale) + self.zero_point
        return self.ask(np.clip(quantized, -128, 127).astype(np.int8))

    def ask(self, given: npt.NDArray[Any]) -> Any:
        """The best classes with their probabilities, or the class map of the frame's size."""
        self.interpreter.set_tensor(self.given["index"], given[None])
        self.interpreter.invoke()
        output = self.interpreter.get_tensor(self.answer["index"])[0]
        logits = (output.astype(np.float32) - self.answered.zero_point) * np.float32(self.answered.scale)
        if logits.ndim == 1:
            powers = np.exp(logits - logits.max())
            probabilities = powers / powers.sum()
            return [(int(index), float(probabilities[index])) for index in np.argsort(-logits, kind="stable")[:TOP]]
        return np.argmax(cv2.resize(logits, self.frame_wh), axis=-1).astype(np.uint8)


def classifier(data: Path, folder: Path, width: float, size: int) -> Artifact:
    """MobileNetV2 by ranges and nearest integers; given weights where there are some."""
    torch.manual_seed(0)
    network = build("mobilenet_v2", classes=1000, width=width, resolution=size)
    if width == 1.0:
        load_pretrained(network, data / "models" / "mobilenet_v2_1.0_224.safetensors")
    samples, preprocess = data / "imagenet_samples", preprocess_of(size)
    split = image_folder(samples / "dev", samples / "dev_labels.txt")
    frames = np.stack([resize(split.image(index), preprocess) for index in range(CALIBRATION)])
    images = [in_layout(normalize(frame[None], preprocess), "nchw") for frame in frames]
    graph = calibrate(
        float_graph(network.eval(), torch.zeros(1, 3, size, size)),
        images,
        estimator="mse",
        input_range=input_range(normalize_table(preprocess)),
    )
    description = Description(
        name="mobilenet_v2",
        task="classify",
        head=None,
        preprocess=preprocess,
        labels=Labels(names=tuple(f"class {index}" for index in range(1000))),
        quantization=QuantizationInfo(method="ptq"),
        provenance=provenance(source=folder, folder=folder),
        said=Said(values="logits", scores="exclusive"),
    )
    return build_artifact(graph, description, folder, images=frames[:2])


def segmenter(data: Path, folder: Path) -> Artifact:
    """Fast-SCNN by the command itself."""
    source, split = data / "models" / "fast_scnn_camvid_360x480_float.safetensors", f"camvid:{data / 'camvid'}:train"
    words = ["quantize", str(source), "--calibration", split, "-n", str(CALIBRATION), "--effort", "plain"]
    if edge([*words, "--no-verify", "-o", str(folder)]) != 0:
        raise click.ClickException(f"{source}: not quantized")
    return open_artifact(folder)


def frame_of(data: Path) -> Pixels:
    """A CamVid picture as a camera would give it."""
    picture = cv2.imread(str(sorted((data / "camvid" / "val").iterdir())[0]))
    assert picture is not None
    return np.asarray(cv2.resize(picture, FRAME_HW[::-1]), dtype=np.uint8)


def overheads_ns(artifact: Artifact, frame: Pixels, rounds: int) -> dict[str, float]:
    """Median nanoseconds outside of `invoke`, by way; first every way's answer is held to be the same."""
    file = artifact.model_file("model.tflite")
    session = open_litert(artifact.file("model.tflite"), threads=1)
    assert isinstance(session, LiteRtSession)
    timed = Timed(session.interpreter)
    predict = Predictor(artifact, file, LiteRtSession(timed, session.info))
    hand = ByHand(artifact, timed, FRAME_HW)
    ways: dict[str, Callable[[], Any]] = {
        "predict": lambda: predict(frame),
        "LUT": lambda: hand.by_lut(frame),
        "LUT of one row": lambda: hand.by_row(frame),
        "float": lambda: hand.by_float(frame),
    }
    by_lut, seen = hand.by_lut(frame), predict(frame)
    if isinstance(seen, SegmentPrediction):
        ways["predict, full-size map"] = lambda: predict(frame).class_map  # type: ignore[attr-defined]
        if np.mean(seen.class_map != by_lut) > 0.001:  # equal logits alone
            raise click.ClickException("another class map than by hand")
    else:
        scores = seen.scores  # type: ignore[attr-defined]
        if tuple(index for index, _ in by_lut) != scores.indices:
            raise click.ClickException("other classes than by hand")
    taken: dict[str, list[int]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            way()  # an app has no other loop in between
            start = time.perf_counter_ns()
            answer = way()
            taken[name].append(time.perf_counter_ns() - start - timed.invoke_ns)
            del answer
    return {name: median(values) for name, values in taken.items()}


BY_HAND = ("LUT", "LUT of one row", "float")


def rows(name: str, told: dict[str, float]) -> list[str]:
    """Of every way of ours a row of the table: microseconds, and shares of the loops by hand."""
    hand = " | ".join(f"{told[way] / 1e3:,.0f}" for way in BY_HAND)
    return [
        f"| {name} | {way} | {told[way] / 1e3:,.0f} | {hand} | "
        + " | ".join(f"{told[way] / told[other]:.2f}" for other in BY_HAND)
        + " |"
        for way in told
        if way.startswith("predict")
    ]


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.option("--rounds", type=click.IntRange(3), default=201, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Folder that keeps the artifacts, or holds them already.")
def main(data: Path, rounds: int, keep: Path | None) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder, frame = keep or Path(temporary), frame_of(data)
        made: dict[str, Callable[[Path], Artifact]] = {
            name: lambda path, shape=shape: classifier(data, path, *shape)  # type: ignore[misc]
            for name, shape in CLASSIFIERS.items()
        }
        made[SEGMENTER] = lambda path: segmenter(data, path)
        told = " | ".join(f"{way}, us" for way in BY_HAND)
        click.echo(f"| network | way | us | {told} | of the LUT | of that of one row | of the float loop |")
        click.echo("| --- " * 9 + "|")
        for name, make in made.items():
            path = folder / name.replace(" ", "_").replace(",", "")
            artifact = open_artifact(path) if path.exists() else make(path)
            for row in rows(name, overheads_ns(artifact, frame, rounds)):
                click.echo(row)


if __name__ == "__main__":
    main()
