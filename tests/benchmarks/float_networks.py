"""Float files of two networks for speed alone: `python -m tests.benchmarks.float_networks FOLDER`.

MobileNetV2 at 224x224 (`.onnx`, `.tflite`) and Fast-SCNN at 1024x2048 (`.onnx`), with random weights and the
statistics that belong to them: what they answer means nothing, what they cost is the networks'.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
import torch
from torch import nn

from converters.onnx.file import onnx_bytes
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.files import atomic
from edge.graph.graph import Graph
from edge.models.registry import build
from edge.quantization.qat.freeze import float_graph

# file name -> network, arguments, size, whether a TFLite file is wanted too.
NETWORKS: Mapping[str, tuple[str, dict[str, Any], tuple[int, int], bool]] = MappingProxyType(
    {
        "mobilenet_v2_224": ("mobilenet_v2", {"classes": 1000, "resolution": 224}, (224, 224), True),
        "fast_scnn_1024x2048": ("fast_scnn", {"classes": 19, "resolution_hw": (1024, 2048)}, (1024, 2048), False),
    }
)
SEED = 0


def network_graph(name: str) -> Graph:
    """A network of NETWORKS as a float graph, NCHW."""
    network, arguments, size_hw, _ = NETWORKS[name]
    torch.manual_seed(SEED)
    model = build(network, **arguments)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the average of all batches
    with torch.no_grad():
        model.train()(torch.randn(2, 3, *size_hw))
    return float_graph(model.eval(), torch.zeros(1, 3, *size_hw))


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def command(folder: Path) -> None:
    """Write the files into FOLDER and print their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (_, _, _, with_tflite) in NETWORKS.items():
        graph = network_graph(name)
        files = {f"{name}.onnx": onnx_bytes(graph)}
        if with_tflite:
            files[f"{name}.tflite"] = tflite_bytes(to_nhwc(graph))
        for file_name, data in files.items():
            atomic.write_bytes(folder / file_name, data)
            click.echo(str(folder / file_name))


if __name__ == "__main__":
    command()
