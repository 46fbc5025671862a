"""What is right for each model file: a function that tries it as a user would and returns what it saw.

A function takes the file and an empty folder, and fails by an assertion. CASES is the table.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import onnx
from ai_edge_litert.interpreter import Interpreter

from edge.engines.litert import open_litert
from edge.errors import EdgeError
from edge.execution.integer import IntegerSimulation
from edge.graph.importers.tflite.reader import read_tflite
from tests.cases.ended import edge
from tests.support.one_operator import random_input
from tests.support.onnx_session import cpu_session
from tests.support.preprocess_text import preprocess_text

Array = np.ndarray[Any, Any]
CARD = (
    """
task = "{task}"

"""
    + preprocess_text("{height}", "{width}")
    + """
[labels]
names = {names}
"""
)


def card(folder: Path, names: list[str], *, task: str = "classify", height: int = 64, width: int = 64) -> Path:
    """Write a card as a user would who knows the names and nothing else."""
    path = folder / "card.toml"
    path.write_text(CARD.format(task=task, height=height, width=width, names=json.dumps(names)))
    return path


def picture(folder: Path) -> tuple[Path, Array]:
    """A photograph-like picture: its file, and its pixels in RGB."""
    rng = np.random.default_rng(0)
    pixels = cv2.resize(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), (64, 64))
    path = folder / "picture.png"
    cv2.imwrite(str(path), pixels[..., ::-1])
    return path, pixels


def in_onnxruntime(path: Path, inputs: Mapping[str, Array]) -> list[Array]:
    """The outputs of the source file itself."""
    return cpu_session(path).run(None, dict(inputs))


def in_litert(path: Path, inputs: list[Array]) -> list[Array]:
    """The outputs of a written file."""
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]).copy() for detail in interpreter.get_output_details()]


def bare(path: Path, folder: Path, *words: str) -> Path:
    """Convert to a bare TFLite file, which must be done."""
    target = folder / "x.tflite"
    edge("convert", path, "-o", target, *words).done()
    return target


def same_as_source(path: Path, folder: Path) -> str:
    """Converted; every output equals ONNX Runtime's on random input, NaN and infinities included."""
    target = bare(path, folder)
    rng = np.random.default_rng(1)
    feeds = {}
    for value in onnx.load(path).graph.input:
        shape = [size.dim_value for size in value.type.tensor_type.shape.dim]
        feeds[value.name] = rng.standard_normal(shape).astype(np.float32)
    channels_last = [np.moveaxis(v, 1, -1) if v.ndim == 4 else v for v in feeds.values()]
    for want, got in zip(in_onnxruntime(path, feeds), in_litert(target, channels_last), strict=True):
        ordered = np.moveaxis(want, 1, -1) if want.ndim == 4 else want
        np.testing.assert_allclose(got, ordered, rtol=1e-4, atol=1e-5)
    return "converted, equal to ONNX Runtime"


def constant_output(path: Path, folder: Path) -> str:
    """A constant beside a computed output is written, and the torch engine gives it too."""
    seen = same_as_source(path, folder)
    edge("bench", path, "--engine", "torch", "--min-seconds", "0.01", "--max-runs", "50").done()
    return f"{seen}; measured in torch"


def converts_with_shapes(*words: str) -> Callable[[Path, Path], str]:
    """Converted with these sizes, or refused in one line."""

    def tried(path: Path, folder: Path) -> str:
        ended = edge("convert", path, "-o", folder / "x.tflite", *words)
        return "converted" if ended.status == 0 else ended.said()

    return tried


def converts(path: Path, folder: Path) -> str:
    """Converted, with 0 differing values by the verb's own check."""
    bare(path, folder)
    return "converted"


def read_directions(path: Path, folder: Path) -> str:
    """Sizes of -1 are unknown ones, which --input-shape says."""
    target = bare(path, folder, "--input-shape", "x=1x3x48x192")
    x = np.random.default_rng(0).standard_normal((1, 3, 48, 192)).astype(np.float32)
    want = in_onnxruntime(path, {"x": x})[0]
    got = in_litert(target, [x.transpose(0, 2, 3, 1)])[0]
    np.testing.assert_allclose(got, want, atol=1e-4)
    edge("inspect", path, "--input-shape", "x=1x3x48x192").done()
    return "converted, equal to ONNX Runtime; inspected"


def measured_in_torch(path: Path, folder: Path) -> str:
    """A TFLite file with a constant output runs in the torch engine."""
    edge("bench", path, "--engine", "torch", "--min-seconds", "0.01", "--max-runs", "50").done()
    return "measured in torch"


def camera_scores(artifact: Path, source: Path) -> dict[str, Any]:
    """What `edge camera --json` answers for one picture."""
    lines = [json.loads(line) for line in edge("camera", artifact, "--source", source, "--json").done().splitlines()]
    return next(line for line in lines if line["kind"] == "frame")


def one_score(path: Path, folder: Path) -> str:
    """A sigmoid's probability is the answer; or the card is told what to say."""
    ended = edge("convert", path, "--card", card(folder, ["cat"]), "-o", folder / "art")
    if ended.status:
        return ended.said()
    source, pixels = picture(folder)
    x = ((pixels.astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)[None]
    want = float(in_onnxruntime(path, {"x": x})[0].ravel()[0])
    frame = camera_scores(folder / "art", source)
    assert f"{want:.4f}"[:5] in json.dumps(frame), f"the model says {want}, the camera {frame}"
    return f"the camera says {want:.4f}, as the model"


def mask(path: Path, folder: Path) -> str:
    """A one-channel mask is on where the sigmoid is above a half."""
    ended = edge("convert", path, "--card", card(folder, ["person"], task="segment"), "-o", folder / "art")
    if ended.status:
        return ended.said()
    from edge.predictor.predictor import Predictor

    _, pixels = picture(folder)
    x = ((pixels.astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)[None]
    want = float((in_onnxruntime(path, {"x": x})[0] > 0.5).mean())
    prediction = Predictor.load(folder / "art")(pixels[..., ::-1])
    shares = [float((prediction.class_map == value).mean()) for value in (0, 1)]
    assert min(abs(share - want) for share in shares) < 0.05, f"the model: {want}, ours: {shares}"
    return f"{want:.1%} of the mask is on, as in the model"


def detector_with_a_classifiers_card(path: Path, folder: Path) -> str:
    """Two outputs are no classifier: refused in convert, and nothing is written."""
    given = card(folder, ["background", "text"], height=240, width=320)
    said = edge("convert", path, "--card", given, "-o", folder / "art").said()
    assert not (folder / "art").exists()
    return said


def along_axis_0(path: Path, folder: Path) -> str:
    """A model that works along axis 0 becomes an artifact."""
    edge("convert", path, "--card", card(folder, ["cat", "dog", "bird"]), "-o", folder / "art").done()
    return "an artifact that ships"


def per_axis_activation(path: Path, folder: Path) -> str:
    """Refused by name, not written into a file that cannot be read back."""
    said = edge("convert", path, "-o", folder / "x.tflite", "--allow-float", "Mul").said()
    assert "damaged" not in said, said
    return said


def simulated(path: Path, folder: Path) -> str:
    """Every operator is counted, and the simulation gives LiteRT's integers."""
    printed = edge("inspect", path).done()
    assert "no rule" not in printed, printed
    graph = read_tflite(path.read_bytes())
    rng = np.random.default_rng(0)
    session, simulation = open_litert(path), IntegerSimulation(graph)
    differing = values = 0
    for _ in range(50):
        inputs = [random_input(rng, graph.tensors[name]) for name in graph.inputs]
        for got, want in zip(session.run(inputs), simulation.run(inputs), strict=True):
            differing, values = differing + int((got != want).sum()), values + got.size
    assert differing == 0, f"{differing} of {values} values differ"
    return f"0 of {values} values differ from LiteRT"


def refused_by_simulation(path: Path, folder: Path) -> str:
    """Outside the range in which its formula holds the simulation refuses, by name."""
    try:
        IntegerSimulation(read_tflite(path.read_bytes()))
    except EdgeError as error:
        assert "Mul" in str(error) or "MUL" in str(error), error
        return str(error)
    raise AssertionError("the simulation takes a scale ratio of 1e27")


def inspected(path: Path, folder: Path) -> str:
    """Inspected, or called what it is: a sound file is never called damaged."""
    ended = edge("inspect", path)
    assert "damaged" not in ended.err + ended.out and "not a sound" not in ended.err, ended.err
    return "inspected" if ended.status == 0 else ended.said()


def points_to_the_builtin_kernels(path: Path, folder: Path) -> str:
    """What XNNPACK refuses the built-in kernels run, and the refusal says so."""
    said = edge("bench", path, "--engine", "litert", "--min-seconds", "0.01", "--max-runs", "50").said()
    assert "--kernels builtin" in said and path.name in said, said
    return said


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file and what is tried."""

    file: str
    try_it: Callable[[Path, Path], str]


# name of a row -> its case
CASES: Mapping[str, Case] = MappingProxyType(
    {
        "constant output": Case(file="constant_output.onnx", try_it=constant_output),
        "constant output, vision": Case(
            file="constant_output_dummy_vision.onnx",
            try_it=converts_with_shapes("--input-shape", "pixel_values=1x1x3x8x8", "--input-shape", "image_sizes=1x2"),
        ),
        "constant output, TFLite": Case(file="constant_output_tensor.tflite", try_it=measured_in_torch),
        "softmax per pixel": Case(file="conv_pixel_softmax.onnx", try_it=converts),
        "input is output": Case(file="input_is_output.onnx", try_it=same_as_source),
        "logarithms": Case(file="java-three-output-matmul.onnx", try_it=converts),
        "unread Dropout masks": Case(file="light_squeezenet_opset17.onnx", try_it=converts),
        "infinities": Case(file="log_relu.onnx", try_it=same_as_source),
        "NaN": Case(file="sqrt.onnx", try_it=same_as_source),
        "output without elements": Case(
            file="qwen3-5_dummy_vision.onnx",
            try_it=converts_with_shapes("--input-shape", "pixel_values=1x1536", "--input-shape", "image_grid_thw=1x3"),
        ),
        "shuffle through axis 0": Case(file="shuffle_classifier.onnx", try_it=along_axis_0),
        "one sigmoid": Case(file="sigmoid_classifier_1.onnx", try_it=one_score),
        "sigmoid mask": Case(file="sigmoid_mask.onnx", try_it=mask),
        "per-axis activation": Case(
            file="transpose_optimizer_qdq_fixup_unsqueeze_per_axis_dq.onnx", try_it=per_axis_activation
        ),
        "sizes of -1": Case(file="ppocr_cls_opset17.onnx", try_it=read_directions),
        "detector as a classifier": Case(
            file="ultraface_rfb_320_simplified_opset17.onnx", try_it=detector_with_a_classifiers_card
        ),
        "fully connected of rank 4": Case(file="micro_speech_quantized.tflite", try_it=simulated),
        "Mul out of range": Case(file="traffic_mul_75.tflite", try_it=refused_by_simulation),
        "tensor without producer": Case(file="77cb85714a.tflite", try_it=inspected),
        "buffers behind the flatbuffer": Case(file="7f73ae1204.tflite", try_it=inspected),
        "sparse weights": Case(file="671dd2f9ed.tflite", try_it=inspected),
        "refused by XNNPACK": Case(file="deeplab_edgetpu_repo.tflite", try_it=points_to_the_builtin_kernels),
    }
)
