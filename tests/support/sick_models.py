"""Sick models, two of each disease and unlike each other, and a healthy network that they are made from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import torch

from converters.convert.calibration import calibration_batches
from converters.onnx.file import onnx_bytes
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.artifact.scheme import input_range
from edge.data.open_split import open_split
from edge.graph.graph import Graph, Operator, Tensor, per_tensor
from edge.models.registry import build
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph
from edge.vision.pixels import normalize_table
from edge.vision.preprocess import Preprocess
from tests.support.preprocess_text import preprocess_text

SIZE = 32
CLASSES = 8
PREPROCESS = Preprocess(
    colour_order="rgb",
    height=SIZE,
    width=SIZE,
    interpolation="bilinear",
    fit="stretch",
    crop_fraction=1.0,
    mean=(127.5, 127.5, 127.5),
    std=(127.5, 127.5, 127.5),
)
IMAGENET = Path("imagenet_samples/dev")
OFFICIAL = "mobilenet_v1_0.25_224_1_default_1.tflite"
OFFICIAL_CARD = """task = "classify"
scores = "exclusive"
[preprocess]
colour_order = "{colours}"
height = {size}
width = {size}
interpolation = "bilinear"
fit = "crop"
crop_fraction = 0.875
mean = {mean}
std = {std}
[labels]
file = "labels.txt"
"""
Words = list[str]
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Sick:
    """How a sick model is made in a folder, and the words behind `edge doctor` that show what it has."""

    disease: str
    make: Callable[[Path], Words]


def network(name: str = "mobilenet_v1") -> Graph:
    """A healthy float network, the same every time: (1, 3, 32, 32) to 8 classes, batch norm folded."""
    torch.manual_seed(0)
    module = build(name, width=0.25, classes=CLASSES, resolution=SIZE).eval()
    return float_graph(module, torch.zeros(1, 3, SIZE, SIZE))


def integers() -> Graph:
    """The same quantized."""
    split = open_split(split="generated:classify:train:8")
    levels = input_range(normalize_table(PREPROCESS))
    return calibrate(network(), calibration_batches(split, PREPROCESS), input_range=levels)


def card(folder: Path, **changes: str) -> str:
    """A card for such networks; `changes` replace lines of its preprocessing."""
    text = preprocess_text(SIZE, SIZE)
    for key, value in changes.items():
        text = "".join(f"{key} = {value}\n" if row.startswith(f"{key} ") else f"{row}\n" for row in text.splitlines())
    names = ", ".join(f'"class {k}"' for k in range(CLASSES))
    path = folder / "card.toml"
    path.write_text(f'task = "classify"\nvalues = "logits"\nscores = "exclusive"\n{text}[labels]\nnames = [{names}]\n')
    return str(path)


def official(folder: Path, colours: str = "rgb", mean: float = 127.5, std: float = 127.5, size: int = 224) -> list[str]:
    """The words for an official float classifier, fed in some way, on photographs without labels."""
    (folder / "labels.txt").write_text("".join(f"class {k}\n" for k in range(1001)))
    path = folder / "card.toml"
    path.write_text(OFFICIAL_CARD.format(colours=colours, mean=[mean] * 3, std=[std] * 3, size=size))
    return ["--card", str(path)]


def onnx_file(graph: Graph, folder: Path) -> str:
    """The graph as an ONNX file."""
    path = folder / "model.onnx"
    path.write_bytes(onnx_bytes(graph))
    return str(path)


def tflite_file(graph: Graph, folder: Path) -> str:
    """The graph as a TFLite file."""
    path = folder / "model.tflite"
    path.write_bytes(tflite_bytes(to_nhwc(graph)))
    return str(path)


def with_weights(graph: Graph, change: Callable[[Operator, Array], Array]) -> Graph:
    """The same with the weights of its convolutions and products changed."""
    tensors = []
    for operator in graph.operators:
        if operator.kind in ("Conv", "Gemm"):
            tensor = graph.tensors[operator.inputs[1]]
            tensors.append(replace(tensor, data=change(operator, np.array(tensor.data)).astype(np.float32)))
    return graph.with_tensors(tensors)


def pointwise(graph: Graph, place: int) -> str:
    """The name of one of the convolutions that mix channels."""
    found = [one for one in graph.operators if one.kind == "Conv" and one.attributes["group"] == 1]
    return found[place].name


def on_grid_of(largest: int) -> Callable[[Operator, Array], Array]:
    """Round every channel to that many quanta either way."""

    def change(operator: Operator, weight: Array) -> Array:
        scale = np.abs(weight).max(axis=tuple(range(1, weight.ndim)), keepdims=True) / largest
        return np.asarray(np.round(weight / scale) * scale)

    return change


def on_one_grid(operator: Operator, weight: Array) -> Array:
    """Round a layer to one grid of 255 steps, then to float16."""
    low, high = min(weight.min(), 0), max(weight.max(), 0)
    scale = (high - low) / 255
    return np.asarray((np.round(weight / scale) * scale).astype(np.float16))


def _zeroed(name: str, share: float) -> Callable[[Operator, Array], Array]:
    def change(operator: Operator, weight: Array) -> Array:
        if operator.name == name:
            weight[: round(share * len(weight))] = 0
        return weight

    return change


def _blown_up(name: str, channel: int, factor: float) -> Callable[[Operator, Array], Array]:
    def change(operator: Operator, weight: Array) -> Array:
        if operator.name == name:
            weight[channel] *= factor
        return weight

    return change


def _with_scale(graph: Graph, place: int, scale: Callable[[float], float]) -> Graph:
    """The integer graph with another scale for one convolution's output and no activation."""
    operator = [one for one in graph.operators if one.kind == "Conv"][place]
    tensor = graph.tensors[operator.outputs[0]]
    assert tensor.quantization is not None
    found = per_tensor(scale(float(tensor.quantization.scale[0])), int(tensor.quantization.zero_point[0]))
    plain = replace(operator, attributes={**operator.attributes, "activation": "none"})
    operators = tuple(plain if one is operator else one for one in graph.operators)
    return replace(graph.with_tensors([replace(tensor, quantization=found)]), operators=operators)


def in_float(graph: Graph, place: int) -> Graph:
    """The integer graph with a float operator between Dequantize and Quantize behind one convolution."""
    operator = [one for one in graph.operators if one.kind == "Conv"][place]
    name = operator.outputs[0]
    tensor = graph.tensors[name]
    before, after = f"{name}/float", f"{name}/sin"
    floats = [Tensor(name=one, shape=tensor.shape, dtype="float32") for one in (before, after)]
    back = replace(tensor, name=f"{name}/back")
    added = (
        Operator(kind="Dequantize", name=before, inputs=(name,), outputs=(before,)),
        Operator(kind="Sin", name=after, inputs=(before,), outputs=(after,)),
        Operator(kind="Quantize", name=back.name, inputs=(after,), outputs=(back.name,)),
    )
    operators: list[Operator] = []
    for one in graph.operators:
        operators.append(replace(one, inputs=tuple(back.name if given == name else given for given in one.inputs)))
        if one is operator:
            operators += added
    return replace(graph, operators=tuple(operators), tensors={**graph.tensors, **{t.name: t for t in (*floats, back)}})


def turned(graph: Graph, place: int) -> Graph:
    """The graph with a map turned to the other layout and back, a factor in between."""
    operator = [one for one in graph.operators if one.kind == "Conv"][place]
    name = operator.outputs[0]
    n, c, h, w = graph.tensors[name].shape
    factor = Tensor(name="factor", shape=(1,), dtype="float32", data=np.array([1.5], np.float32))
    made = {"there": (n, h, w, c), "scaled": (n, h, w, c), "back": (n, c, h, w)}
    tensors = [Tensor(name=one, shape=shape, dtype="float32") for one, shape in made.items()]
    added = (
        Operator(kind="Transpose", name="there", inputs=(name,), outputs=("there",), attributes={"perm": (0, 2, 3, 1)}),
        Operator(
            kind="Mul",
            name="scaled",
            inputs=("there", "factor"),
            outputs=("scaled",),
            attributes={"activation": "none"},
        ),
        Operator(
            kind="Transpose", name="back", inputs=("scaled",), outputs=("back",), attributes={"perm": (0, 3, 1, 2)}
        ),
    )
    operators: list[Operator] = []
    for one in graph.operators:
        operators.append(replace(one, inputs=tuple("back" if given == name else given for given in one.inputs)))
        if one is operator:
            operators += added
    return replace(
        graph, operators=tuple(operators), tensors={**graph.tensors, **{t.name: t for t in (factor, *tensors)}}
    )


def images(folder: Path, draw: Callable[[np.random.Generator], Array], count: int = 24) -> Words:
    """A folder of drawn images as calibration."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    for index in range(count):
        cv2.imwrite(str(folder / "images" / f"{index}.png"), draw(rng).astype(np.uint8))
    return ["--calibration", str(folder / "images")]


def _double(folder: Path) -> Words:
    return [onnx_file(with_weights(network(), on_grid_of(127)), folder)]


def _double_half(folder: Path) -> Words:
    return [tflite_file(with_weights(network("mobilenet_v2"), on_one_grid), folder)]


def _again(folder: Path) -> Words:
    return [onnx_file(integers(), folder), "--calibration", "generated:classify:train"]


def _again_tflite(folder: Path) -> Words:
    return [tflite_file(integers(), folder), "--calibration", "generated:classify:val"]


def _dead(folder: Path) -> Words:
    graph = network()
    return [onnx_file(with_weights(graph, _zeroed(pointwise(graph, 3), 0.5)), folder)]


def _dead_few(folder: Path) -> Words:
    graph = network("mobilenet_v2")
    return [tflite_file(with_weights(graph, _zeroed(pointwise(graph, 8), 0.125)), folder)]


def _huge(folder: Path) -> Words:
    graph = network()
    return [onnx_file(with_weights(graph, _blown_up(pointwise(graph, 2), 3, 1000)), folder)]


def _huge_twice(folder: Path) -> Words:
    graph = network("mobilenet_v2")
    return [tflite_file(with_weights(graph, _blown_up(pointwise(graph, 5), 0, 300)), folder)]


def _beyond(folder: Path) -> Words:
    return [onnx_file(_with_scale(integers(), 4, lambda scale: scale * 2.0**-16), folder)]


def _beyond_first(folder: Path) -> Words:
    return [onnx_file(_with_scale(integers(), 0, lambda scale: scale * 2.0**-20), folder)]


def _clamp_lost(folder: Path) -> Words:
    graph = integers()
    return [onnx_file(_with_scale(_all_to_six(graph), 3, lambda scale: 20 / 255), folder)]


def _clamp_lost_of_parent(folder: Path) -> Words:
    graph = network("mobilenet_v2")
    (folder / "parent").mkdir()
    parent = onnx_file(graph, folder / "parent")
    plain = [
        replace(one, attributes={**one.attributes, "activation": "relu"}) if _clamps(one) else one
        for one in graph.operators
    ]
    return [onnx_file(replace(graph, operators=tuple(plain)), folder), "--parent", parent]


def _clamps(operator: Operator) -> bool:
    return operator.attributes.get("activation") == "relu6"


def _all_to_six(graph: Graph) -> Graph:
    tensors = [graph.tensors[one.outputs[0]] for one in graph.operators if _clamps(one)]
    return graph.with_tensors([replace(one, quantization=per_tensor(6 / 255, -128)) for one in tensors])


def _island(folder: Path) -> Words:
    return [onnx_file(in_float(integers(), 5), folder)]


def _no_integer_form(folder: Path) -> Words:
    graph = network()
    first = graph.operators[3]
    name = first.outputs[0]
    made = replace(graph.tensors[name], name=f"{name}/sin")
    operators = [
        replace(one, inputs=tuple(made.name if given == name else given for given in one.inputs))
        for one in graph.operators
    ]
    operators.insert(4, Operator(kind="Sin", name="sin", inputs=(name,), outputs=(made.name,)))
    return [onnx_file(replace(graph, operators=tuple(operators), tensors={**graph.tensors, made.name: made}), folder)]


def _transposes(folder: Path) -> Words:
    return [onnx_file(turned(network(), 3), folder)]


def _transposes_in_tflite(folder: Path) -> Words:
    graph = to_nhwc(network())
    operator = [one for one in graph.operators if one.kind == "Conv"][5]
    name = operator.outputs[0]
    n, h, w, c = graph.tensors[name].shape
    made = {"there": (n, c, h, w), "clamped": (n, c, h, w), "back": (n, h, w, c)}
    added = (
        Operator(kind="Transpose", name="there", inputs=(name,), outputs=("there",), attributes={"perm": (0, 3, 1, 2)}),
        Operator(kind="Relu", name="clamped", inputs=("there",), outputs=("clamped",)),
        Operator(
            kind="Transpose", name="back", inputs=("clamped",), outputs=("back",), attributes={"perm": (0, 2, 3, 1)}
        ),
    )
    operators: list[Operator] = []
    for one in graph.operators:
        operators.append(replace(one, inputs=tuple("back" if given == name else given for given in one.inputs)))
        if one is operator:
            operators += added
    tensors = {one: Tensor(name=one, shape=shape, dtype="float32") for one, shape in made.items()}
    path = folder / "model.tflite"
    path.write_bytes(tflite_bytes(replace(graph, operators=tuple(operators), tensors={**graph.tensors, **tensors})))
    return [str(path)]


def _noise(folder: Path) -> Words:
    given = images(folder, lambda rng: rng.integers(0, 256, (48, 48, 3)))
    return [onnx_file(network(), folder), "--card", card(folder), *given]


def _flat(folder: Path) -> Words:
    given = images(folder, lambda rng: np.full((40, 40, 3), 128))
    return [tflite_file(network("mobilenet_v2"), folder), "--card", card(folder), *given]


def _fed_otherwise(folder: Path) -> Words:
    graph = integers()
    return [onnx_file(graph, folder), "--card", card(folder, mean="[0, 0, 0]", std="[255, 255, 255]")]


def _fed_pixels(folder: Path) -> Words:
    return [tflite_file(integers(), folder), "--card", card(folder, mean="[0, 0, 0]", std="[1, 1, 1]")]


def _constant(folder: Path) -> Words:
    graph = network()
    flat = with_weights(graph, lambda operator, weight: weight * (1e-6 if operator.kind == "Gemm" else 1))
    return [onnx_file(flat, folder), "--card", card(folder), "--split", "generated:classify:val:32"]


ZOO: Mapping[str, Sick] = MappingProxyType(
    {
        "grid per channel": Sick(disease="double quantization", make=_double),
        "grid per tensor in float16": Sick(disease="double quantization", make=_double_half),
        "QDQ to calibrate": Sick(disease="quantized already", make=_again),
        "TFLite to calibrate": Sick(disease="quantized already", make=_again_tflite),
        "float between integers": Sick(disease="float islands", make=_island),
        "no integer form": Sick(disease="float islands", make=_no_integer_form),
        "turned in ONNX": Sick(disease="layout transposes", make=_transposes),
        "turned in TFLite": Sick(disease="layout transposes", make=_transposes_in_tflite),
        "small scale": Sick(disease="scales beyond kernels' limits", make=_beyond),
        "small scale first": Sick(disease="scales beyond kernels' limits", make=_beyond_first),
        "half a layer of zeros": Sick(disease="dead channels", make=_dead),
        "an eighth of zeros": Sick(disease="dead channels", make=_dead_few),
        "one channel times 1000": Sick(disease="huge channel ratios", make=_huge),
        "one channel times 300": Sick(disease="huge channel ratios", make=_huge_twice),
        "range to 20": Sick(disease="ReLU6 lost", make=_clamp_lost),
        "ReLU for ReLU6": Sick(disease="ReLU6 lost", make=_clamp_lost_of_parent),
        "noise": Sick(disease="foreign calibration images", make=_noise),
        "grey": Sick(disease="foreign calibration images", make=_flat),
        "0 to 1 for -1 to 1": Sick(disease="wrong mean or std", make=_fed_otherwise),
        "pixels for -1 to 1": Sick(disease="wrong mean or std", make=_fed_pixels),
        "no weight in the end": Sick(disease="a model at chance", make=_constant),
    }
)
