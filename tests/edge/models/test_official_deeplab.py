"""Somebody else's DeepLabv3 in our network: Google's Pascal VOC file, its weights dequantized, on photographs.

`deeplabv3_mnv2_pascal_quant` was trained, quantized and written elsewhere. Where our network with its weights gives the
logits of the file's own graph executed in float, the strides, dilations, paddings, rectifiers and the order of the
joined paths are those of the network that the paper's figures belong to.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from edge.data.open_split import open_split
from edge.engines.litert import open_litert
from edge.execution.float_run import FloatRun
from edge.graph.graph import Graph
from edge.graph.importers.tflite.reader import read_tflite
from edge.graph.passes.rewrite import rebuild
from edge.models.deeplab import deeplab_mobilenet_v2
from edge.models.layouts import own_names
from edge.quantization.ptq.float_reference import float_reference
from edge.quantization.qat.freeze import float_graph
from edge.vision.pixels import resize
from edge.vision.preprocess import Preprocess

pytestmark = pytest.mark.data

NAME = "deeplabv3_mnv2_pascal_quant"
SIDE, CLASSES = 513, 21
PHOTOGRAPHS = (0, 90, 170)
PIXELS = Preprocess(
    colour_order="rgb",
    height=SIDE,
    width=SIDE,
    interpolation="bilinear",
    fit="stretch",
    crop_fraction=1.0,
    mean=(128.0,) * 3,
    std=(128.0,) * 3,
)


def float_graph_to_logits(path: Path) -> Graph:
    """The file's own operators on real numbers, up to its last convolution: the logits before they are enlarged."""
    graph = read_tflite(path)
    last = [operator for operator in graph.operators if operator.kind == "Conv"][-1]
    return float_reference(rebuild(graph, graph.operators, outputs=last.outputs))


def in_execution_order(model: nn.Module) -> list[str]:
    """The layers' names in the order in which the file has them: the first convolution of the head is the 1x1."""
    names = list(own_names(model))
    pooling, pointwise = (names.index(f"classifier.{name}") for name in ("image_pooling", "pointwise"))
    names[pooling], names[pointwise] = names[pointwise], names[pooling]
    return names


def with_weights_of(graph: Graph) -> nn.Module:
    """Our network with the convolutions of a float graph, one after another; a norm passes on all but the bias."""
    model = deeplab_mobilenet_v2(classes=CLASSES).eval()
    layers = in_execution_order(model)
    convolutions = [operator for operator in graph.operators if operator.kind == "Conv"]
    for name, operator in zip(layers, convolutions, strict=True):
        weight, bias = (torch.from_numpy(graph.constant(tensor).copy()) for tensor in operator.inputs[1:])
        layer, norm = model.get_submodule(name), None
        if hasattr(layer, "norm"):
            layer, norm = layer.conv, layer.norm
        assert layer.weight.shape == weight.shape, name
        with torch.no_grad():
            layer.weight.copy_(weight)
            (layer if norm is None else norm).bias.copy_(bias)
            if norm is not None:
                norm.running_var.fill_(1.0 - norm.eps)
    return model


@cache
def photograph(folder: Path, index: int) -> np.ndarray:
    """uint8 (1, 513, 513, 3)."""
    return resize(open_split(images=folder / "imagenet_samples" / "dev").image(index), PIXELS)[None]


def logits_of(model: nn.Module, pixels: np.ndarray) -> torch.Tensor:
    with torch.no_grad():
        return model((torch.from_numpy(pixels).float().permute(0, 3, 1, 2) - 128) / 128)


def test_every_weight_of_the_file_has_its_place(test_data: Path) -> None:
    """The same number of convolutions, of the same shapes, strides, dilations, paddings and rectifiers."""
    theirs = float_graph_to_logits(test_data / "models" / f"{NAME}.tflite")
    ours = float_graph(deeplab_mobilenet_v2(classes=CLASSES).eval(), torch.zeros(1, 3, SIDE, SIDE))

    def convolutions(graph: Graph) -> list[tuple[object, ...]]:
        return sorted(  # the file computes the pooled path after the 1x1, we before it
            (str(graph.tensors[operator.inputs[1]].shape), str(dict(sorted(operator.attributes.items()))))
            for operator in graph.operators
            if operator.kind == "Conv"
        )

    assert convolutions(ours) == convolutions(theirs)


@pytest.mark.unhurried
@pytest.mark.parametrize("index", PHOTOGRAPHS)
def test_the_logits_are_those_of_the_files_own_graph_in_float(test_data: Path, index: int) -> None:
    graph = float_graph_to_logits(test_data / "models" / f"{NAME}.tflite")
    pixels = photograph(test_data, index)
    (expected,) = FloatRun(graph).run([(pixels.astype(np.float32) - 128) / 128])
    found = logits_of(with_weights_of(graph), pixels).permute(0, 2, 3, 1).numpy()
    assert found.shape == expected.shape == (1, 33, 33, CLASSES)
    assert np.abs(found - expected).max() <= 1e-3 * np.ptp(expected)


@pytest.mark.unhurried
def test_the_class_map_is_nearly_that_of_the_quantized_file(test_data: Path) -> None:
    """Logits enlarged as the file enlarges them (corners on corners); 8 bits alone stand between the two."""
    path = test_data / "models" / f"{NAME}.tflite"
    model, session = with_weights_of(float_graph_to_logits(path)), open_litert(path, kernels="xnnpack")
    for index in PHOTOGRAPHS:
        pixels = photograph(test_data, index)
        (theirs,) = session.run([pixels])
        logits = logits_of(model, pixels)
        enlarged = functional.interpolate(logits, (SIDE, SIDE), mode="bilinear", align_corners=True)
        assert (enlarged.argmax(1).numpy() == theirs).mean() > 0.99
