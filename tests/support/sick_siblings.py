"""More sick models: of other architectures, in other places, in weaker forms than those of sick_models.py."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from converters.convert.calibration import calibration_batches
from edge.artifact.scheme import input_range
from edge.data.open_split import open_split
from edge.graph.analyses.borders import borders
from edge.graph.graph import Graph, Operator, per_tensor
from edge.graph.passes.repad import with_pads
from edge.models.registry import build
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph
from edge.vision.pixels import normalize_table
from tests.support.sick_models import (
    CLASSES,
    PREPROCESS,
    SIZE,
    Array,
    Sick,
    Words,
    card,
    images,
    network,
    on_grid_of,
    on_one_grid,
    onnx_file,
    pointwise,
    tflite_file,
    turned,
    with_weights,
)

Change = Callable[[Operator, Array], Array]


def _built(name: str, **arguments: object) -> Graph:
    torch.manual_seed(1)
    module = build(name, **arguments).eval()
    return float_graph(module, torch.zeros(module.input_shape))


def _segmenter() -> Graph:
    return _built("fast_scnn", classes=5, resolution_hw=(64, 96))


def _rednet() -> Graph:
    return _built("rednet", depth=26, width=0.25, classes=CLASSES, resolution=SIZE)


def _quantized(graph: Graph) -> Graph:
    split = open_split(split="generated:classify:train:8")
    levels = input_range(normalize_table(PREPROCESS))
    return calibrate(graph, calibration_batches(split, PREPROCESS), input_range=levels)


def _convolutions(graph: Graph) -> list[Operator]:
    return [one for one in graph.operators if one.kind == "Conv"]


def _depthwise(graph: Graph, place: int) -> Operator:
    return [one for one in _convolutions(graph) if one.attributes["group"] > 1][place]


def _channels(name: str, chosen: slice, factor: float) -> Change:
    def change(operator: Operator, weight: Array) -> Array:
        if operator.name == name:
            weight[chosen] *= factor
        return weight

    return change


def _ending(graph: Graph, operator: Operator, activation: str) -> Graph:
    changed = replace(operator, attributes={**operator.attributes, "activation": activation})
    return replace(graph, operators=tuple(changed if one is operator else one for one in graph.operators))


def _half_of_the_layers(folder: Path) -> Words:
    graph = _segmenter()
    chosen = {one.name for one in _convolutions(graph)[::2]}
    return [onnx_file(with_weights(graph, lambda one, w: on_grid_of(127)(one, w) if one.name in chosen else w), folder)]


def _half_then_scaled(folder: Path) -> Words:
    """As folding batch norm leaves it: a factor per channel on what was rounded to float16."""
    rng = np.random.default_rng(3)

    def change(operator: Operator, weight: Array) -> Array:
        factors = rng.uniform(1, 2, (len(weight),) + (1,) * (weight.ndim - 1))
        return np.asarray(on_one_grid(operator, weight).astype(np.float32) * factors.astype(np.float32))

    return [onnx_file(with_weights(network("mobilenet_v2"), change), folder)]


def _four_bits(folder: Path) -> Words:
    return [onnx_file(with_weights(_rednet(), on_grid_of(7)), folder)]


def _dead_depthwise(folder: Path) -> Words:
    graph = network("mobilenet_v2")
    return [onnx_file(with_weights(graph, _channels(_depthwise(graph, 6).name, np.s_[:14], 0)), folder)]


def _dead_by_bias(folder: Path) -> Words:
    graph = network()
    bias = graph.tensors[_convolutions(graph)[6].inputs[2]]
    values = np.array(bias.data)
    values[: len(values) // 3] = -1e4
    return [onnx_file(graph.with_tensors([replace(bias, data=values)]), folder)]


def _dead_in_integers(folder: Path) -> Words:
    graph = network("mobilenet_v2")
    (folder / "parent").mkdir()
    parent = onnx_file(graph, folder / "parent")
    dead = with_weights(graph, _channels(pointwise(graph, 8), np.s_[:3], 0))
    return [onnx_file(_quantized(dead), folder), "--parent", parent]


def _huge_depthwise(folder: Path) -> Words:
    graph = network("mobilenet_v2")
    return [onnx_file(with_weights(graph, _channels(_depthwise(graph, 4).name, np.s_[5:6], 150)), folder)]


def _huge_three(folder: Path) -> Words:
    graph = _segmenter()
    return [tflite_file(with_weights(graph, _channels(pointwise(graph, 9), np.s_[1:8:3], 400)), folder)]


def _linear_depthwise(folder: Path) -> Words:
    graph = network("mobilenet_v2")
    return [onnx_file(_ending(graph, _depthwise(graph, 7), "none"), folder)]


def _linear_expansion(folder: Path) -> Words:
    graph = network("mobilenet_v2")
    found = _convolutions(graph)
    return [tflite_file(_ending(graph, found[found.index(_depthwise(graph, 7)) - 1], "none"), folder)]


def _relu_between(folder: Path) -> Words:
    graph = network()
    return [tflite_file(_ending(graph, _convolutions(graph)[9], "relu"), folder)]


def _cosine(folder: Path) -> Words:
    graph = _segmenter()
    before = _convolutions(graph)[10]
    name = before.outputs[0]
    made = replace(graph.tensors[name], name=f"{name}/cos")
    operators: list[Operator] = []
    for one in graph.operators:
        operators.append(replace(one, inputs=tuple(made.name if given == name else given for given in one.inputs)))
        if one is before:
            operators.append(Operator(kind="Cos", name="cos", inputs=(name,), outputs=(made.name,)))
    return [onnx_file(replace(graph, operators=tuple(operators), tensors={**graph.tensors, made.name: made}), folder)]


def _turned_in_a_segmenter(folder: Path) -> Words:
    return [onnx_file(turned(_segmenter(), 12), folder)]


def _sum_beyond(folder: Path) -> Words:
    graph = _quantized(network("mobilenet_v2"))
    tensor = graph.tensors[[one for one in graph.operators if one.kind == "Add"][1].outputs[0]]
    assert tensor.quantization is not None
    small = per_tensor(float(tensor.quantization.scale[0]) * 2.0**-14, int(tensor.quantization.zero_point[0]))
    return [onnx_file(graph.with_tensors([replace(tensor, quantization=small)]), folder)]


def _ranges_of(draw: Callable[[np.random.Generator], Array], folder: Path) -> Graph:
    """Ranges that come from drawn images."""
    split = open_split(images=images(folder, draw)[1])
    levels = input_range(normalize_table(PREPROCESS))
    return calibrate(network("mobilenet_v2"), calibration_batches(split, PREPROCESS), input_range=levels)


def _ranges_of_grey(folder: Path) -> Words:
    graph = _ranges_of(lambda rng: rng.integers(120, 136, (48, 48, 3)), folder)
    return [tflite_file(graph, folder), "--card", card(folder), "--split", "generated:classify:val:32"]


def _one_image(folder: Path) -> Words:
    picture = cv2.resize(np.random.default_rng(5).integers(0, 256, (6, 6, 3)).astype(np.uint8), (48, 48))
    return [onnx_file(network("mobilenet_v2"), folder), "--card", card(folder), *images(folder, lambda rng: picture)]


def _fed_by_imagenet(folder: Path) -> Words:
    fed = card(folder, mean="[123.675, 116.28, 103.53]", std="[58.395, 57.12, 57.375]")
    return [onnx_file(_quantized(network("mobilenet_v2")), folder), "--card", fed]


def _weights_alone(folder: Path) -> Words:
    """Integers behind a DequantizeLinear, all activations in float."""
    path = onnx_file(network(), folder)
    model = onnx.load(path)
    kept = []
    for constant in model.graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.ndim != 4:
            kept.append(constant)
            continue
        scale = (np.abs(values).max(axis=(1, 2, 3)) / 127).astype(np.float32)
        stored = np.round(values / scale[:, None, None, None]).astype(np.int8)
        name = constant.name
        kept += [numpy_helper.from_array(stored, f"{name}_q"), numpy_helper.from_array(scale, f"{name}_s")]
        node = helper.make_node("DequantizeLinear", [f"{name}_q", f"{name}_s"], [name], axis=0, name=f"{name}_dq")
        model.graph.node.insert(0, node)
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    onnx.save(model, path)
    return [path, "--calibration", "generated:classify:train"]


def _no_ranges(folder: Path) -> Words:
    """A QDQ file whose tool gave one activation no range: the layers around it compute in float."""
    path = onnx_file(_quantized(network("mobilenet_v2")), folder)
    model = onnx.load(path)
    left = "blocks.3.depthwise.activation"
    kept = [node for node in model.graph.node if node.output[0] not in (left, f"{left}/real")]
    assert len(kept) == len(model.graph.node) - 2
    for node in kept:
        node.input[:] = [f"{left}/float" if name == f"{left}/real" else name for name in node.input]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    onnx.save(model, path)
    return [path, "--card", card(folder)]


def _padded_once_otherwise(folder: Path) -> Words:
    graph = _segmenter()
    (folder / "parent").mkdir()
    parent = onnx_file(graph, folder / "parent")
    first = next(one for one in borders(graph) if one.other is not None)
    assert first.other is not None
    return [onnx_file(with_pads(graph, {first.operator.name: first.other}), folder), "--parent", parent]


def outliers_of(graph: Graph, folder: Path) -> Words:
    """The first layer has no bound, and its first channel answers to single pixels far from their neighbours alone."""
    first = next(one for one in graph.operators if one.kind == "Conv")
    plain = replace(first, attributes={**first.attributes, "activation": "none"})
    weight = graph.tensors[first.inputs[1]]
    kernel = np.array(weight.data)
    largest = np.abs(kernel).max()
    kernel[0] = 0
    kernel[0, :, 1, 1] = 8 * largest
    kernel[0, :, 0, 1] = -kernel[0, :, 1, 1]
    rest = [  # of ReLU: among ReLU6 the first layer would have lost its own
        replace(one, attributes={**one.attributes, "activation": "relu"}) if "activation" in one.attributes else one
        for one in graph.operators
        if one is not first
    ]
    changed = replace(graph, operators=(plain, *rest))
    path = onnx_file(changed.with_tensors([replace(weight, data=kernel)]), folder)
    shades = iter(range(100, 124))

    def spotted(rng: np.random.Generator) -> Array:
        image = np.full((32, 32, 3), next(shades), np.uint8)
        image[:, 16:] += np.arange(16, dtype=np.uint8)[None, :, None]
        image[5:7, 5:7] = 255
        return image

    return [path, "--card", card(folder), *images(folder, spotted, count=12)]


def _outliers(folder: Path) -> Words:
    return outliers_of(network(), folder)


def _outliers_in_another(folder: Path) -> Words:
    return outliers_of(network("mobilenet_v2"), folder)


SIBLINGS: Mapping[str, Sick] = MappingProxyType(
    {
        "grid in half of a segmenter's layers": Sick(disease="double quantization", make=_half_of_the_layers),
        "grid in float16, then scaled": Sick(disease="double quantization", make=_half_then_scaled),
        "grid of 4 bits": Sick(disease="double quantization", make=_four_bits),
        "weights alone": Sick(disease="quantized already", make=_weights_alone),
        "depthwise zeros": Sick(disease="dead channels", make=_dead_depthwise),
        "held at 0 by the bias": Sick(disease="dead channels", make=_dead_by_bias),
        "zeros that the parent has not": Sick(disease="dead channels", make=_dead_in_integers),
        "depthwise times 150": Sick(disease="huge channel ratios", make=_huge_depthwise),
        "three channels of a segmenter": Sick(disease="huge channel ratios", make=_huge_three),
        "linear depthwise": Sick(disease="ReLU6 lost", make=_linear_depthwise),
        "linear expansion": Sick(disease="ReLU6 lost", make=_linear_expansion),
        "ReLU between ReLU6": Sick(disease="ReLU6 lost", make=_relu_between),
        "an activation without a range": Sick(disease="float islands", make=_no_ranges),
        "cosine in a segmenter": Sick(disease="float islands", make=_cosine),
        "turned in a segmenter": Sick(disease="layout transposes", make=_turned_in_a_segmenter),
        "sum of a small scale": Sick(disease="scales beyond kernels' limits", make=_sum_beyond),
        "one image": Sick(disease="foreign calibration images", make=_one_image),
        "ranges of grey": Sick(disease="foreign calibration images", make=_ranges_of_grey),
        "ImageNet's deviation for -1 to 1": Sick(disease="wrong mean or std", make=_fed_by_imagenet),
        "outliers": Sick(disease="unbounded or signed activations", make=_outliers),
        "outliers in another network": Sick(disease="unbounded or signed activations", make=_outliers_in_another),
        "one window of the parent's": Sick(disease="asymmetric padding", make=_padded_once_otherwise),
    }
)
