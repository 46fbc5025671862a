"""Google's DeepLabv3 for Pascal VOC as a float graph, and our network with its weights."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edge.data.open_split import open_split
from edge.graph.graph import Graph
from edge.graph.importers.tflite.reader import read_tflite
from edge.graph.passes.rewrite import rebuild
from edge.models.deeplab import deeplab_mobilenet_v2
from edge.models.layouts import own_names
from edge.quantization.ptq.float_reference import float_reference
from edge.vision.pixels import resize
from edge.vision.preprocess import Preprocess

NAME = "deeplabv3_mnv2_pascal_quant"
SIDE, CLASSES = 513, 21
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
        layer: Any = model.get_submodule(name)  # a ConvNorm, or a convolution alone
        layer, norm = (layer.conv, layer.norm) if hasattr(layer, "norm") else (layer, None)
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
        images = (torch.from_numpy(pixels).float().permute(0, 3, 1, 2) - 128) / 128
        return model(images)  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped


def full_size_classes(logits: torch.Tensor) -> np.ndarray:
    """The class map (1, 513, 513) as the file makes it: logits enlarged with corners on corners, the largest taken."""
    enlarged = functional.interpolate(logits, (SIDE, SIDE), mode="bilinear", align_corners=True)
    return enlarged.argmax(1).numpy()
