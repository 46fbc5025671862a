"""The gates of whatever a user names: a float or QAT checkpoint, or an artifact."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edge.artifact.manifest import open_artifact
from edge.errors import UsageError
from edge.explain.gates import ChannelGates, SpatialGates, channel_gates, spatial_gates
from edge.files.bounded_file import is_dir
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.quantization.qat.freeze import float_graph
from edge.quantization.qat.point_rend import frozen_network
from edge.training.checkpoint import read_checkpoint, restore_module
from edge.vision.pixels import Pixels, apply_table, normalize, quantize_table, resize
from edge.vision.preprocess import Preprocess


@dataclass(frozen=True, kw_only=True)
class Gated:
    """A network with gates: `graph` NCHW, float or integer."""

    graph: Graph
    preprocess: Preprocess

    @property
    def kind(self) -> str:
        """`float`, or the type of its integers."""
        tensor = self.graph.tensors[self.graph.inputs[0]]
        return "float" if tensor.quantization is None else tensor.dtype


@dataclass(frozen=True, kw_only=True)
class Gates:
    """What the gates of a network are, and on one image do."""

    channels: tuple[ChannelGates, ...]
    positions: tuple[SpatialGates, ...]


def open_gated(path: Path) -> Gated:
    """Open a checkpoint or an artifact. Refuses (UsageError) an artifact without an ONNX file."""
    if is_dir(path):
        artifact = open_artifact(path)
        files = sorted(artifact.manifest.files, key=lambda file: file.role != "source")
        file = next((file for file in files if file.format == "onnx"), None)
        if file is None:
            raise UsageError(
                f"{path}: has no gates or kernels to read: they are those of a network of this product with attention, "
                "its checkpoint or the artifact converted from it (`edge train --set model.attention=gct`, `cbam` or "
                "`involution`); this artifact has no ONNX file"
            )
        return Gated(graph=read_onnx(artifact.read(file.path), batch=1), preprocess=artifact.manifest.preprocess)
    checkpoint = read_checkpoint(path)
    module, preprocess = restore_module(checkpoint), checkpoint.recipe.preprocess
    if checkpoint.kind == "qat":
        return Gated(graph=frozen_network(module), preprocess=preprocess)
    example = torch.zeros(1, 3, preprocess.height, preprocess.width)
    return Gated(graph=float_graph(module.eval(), example), preprocess=preprocess)


def gates_on(gated: Gated, frame: Pixels) -> Gates:
    """The gates on a photograph, RGB uint8 (h, w, 3). An empty result: the network has none that are known."""
    image = model_input(gated, frame)
    return Gates(channels=channel_gates(gated.graph), positions=spatial_gates(gated.graph, image))


def model_input(gated: Gated, frame: Pixels) -> npt.NDArray[Any]:
    """The photograph as the graph's input (1, 3, h, w): float32, or its integers."""
    tensor = gated.graph.tensors[gated.graph.inputs[0]]
    pixels, found = resize(frame, gated.preprocess), tensor.quantization
    if found is None:
        values: npt.NDArray[Any] = normalize(pixels, gated.preprocess)
    else:
        scale, zero_point = float(found.scale[0]), int(found.zero_point[0])
        dtype: Any = tensor.dtype
        values = apply_table(pixels, quantize_table(gated.preprocess, scale, zero_point, dtype))
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])
