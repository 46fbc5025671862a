"""A network to look into: its graph, float or integer, and how its images are made."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from edge.graph.graph import Graph
from edge.graph.ops.padding import PairHw
from edge.quantization.qat.freeze import float_graph
from edge.quantization.qat.point_rend import frozen_network
from edge.training.checkpoint import read_checkpoint, restore_module
from edge.vision.pixels import Pixels, apply_table, in_layout, normalize, quantize_table
from edge.vision.preprocess import Preprocess


@dataclass(frozen=True, kw_only=True)
class Network:
    """A graph of one image as input, batch 1, and its preprocessing."""

    graph: Graph
    preprocess: Preprocess

    @property
    def kind(self) -> str:
        """`float`, or the type of its integers."""
        tensor = self.graph.tensors[self.graph.inputs[0]]
        return "float" if tensor.quantization is None else tensor.dtype

    @property
    def size_hw(self) -> PairHw:
        """Height and width of its images in pixels."""
        return self.preprocess.height, self.preprocess.width

    def input(self, image: Pixels) -> npt.NDArray[Any]:
        """An image of its size and colour order, uint8 (h, w, 3), as the graph takes it: float32, or integers."""
        tensor = self.graph.tensors[self.graph.inputs[0]]
        found = tensor.quantization
        if found is None:
            return in_layout(normalize(image, self.preprocess)[None], self.graph.layout)
        dtype: Any = tensor.dtype
        table = quantize_table(self.preprocess, float(found.scale[0]), int(found.zero_point[0]), dtype)
        return in_layout(apply_table(image, table)[None], self.graph.layout)


def network_of_checkpoint(path: Path) -> Network:
    """A float checkpoint as it is, one of training with quantization as its integers; NCHW."""
    checkpoint = read_checkpoint(path)
    module, preprocess = restore_module(checkpoint), checkpoint.recipe.preprocess
    if checkpoint.kind == "qat":
        return Network(graph=frozen_network(module), preprocess=preprocess)
    example = torch.zeros(1, 3, preprocess.height, preprocess.width)
    return Network(graph=float_graph(module.eval(), example), preprocess=preprocess)
