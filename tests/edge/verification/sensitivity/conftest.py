"""A small classifier on generated images, as float graph and as INT8 artifact, with one layer made bad on purpose."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from converters.convert.build import build_artifact
from converters.onnx.file import onnx_bytes
from converters.packaging.description import Description
from converters.packaging.provenance import provenance
from edge.artifact.manifest import Artifact, QuantizationInfo, file_sha256
from edge.artifact.model_file import Labels
from edge.artifact.scheme import input_range
from edge.data.generated import generated_split
from edge.data.splits import Split
from edge.graph.graph import Graph
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph
from edge.quantization.quantize_graph import quantize_graph
from edge.vision.pixels import normalize, normalize_table, resize
from edge.vision.preprocess import Preprocess
from tests.benchmarks.bad_layer import with_uneven_channel

SIZE = 32
UNEVEN_LAYER = "project"
CLIPPED_LAYER = "narrow"


@dataclass(frozen=True, kw_only=True)
class Made:
    """An artifact with its float graph (the parent's) and its images."""

    artifact: Artifact
    float_graph: Graph
    split: Split


@pytest.fixture(scope="session")
def preprocess() -> Preprocess:
    return Preprocess(
        colour_order="rgb",
        height=SIZE,
        width=SIZE,
        interpolation="bilinear",
        fit="stretch",
        crop_fraction=1.0,
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
    )


@pytest.fixture(scope="session")
def split() -> Split:
    return generated_split("classify", "val", 8)


@pytest.fixture(scope="session")
def pixels(split: Split, preprocess: Preprocess) -> np.ndarray:
    """float32 (8, 3, h, w)."""
    images = np.stack([resize(split.image(index), preprocess) for index in range(len(split))])
    return np.ascontiguousarray(normalize(images, preprocess).transpose(0, 3, 1, 2))


class Small(torch.nn.Module):
    """Six layers whose scores follow the picture: two of them without a rectifier, so that channels can be rescaled."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.project = torch.nn.Conv2d(16, 8, 1)
        self.expand = torch.nn.Conv2d(8, 32, 1)
        self.middle = torch.nn.Conv2d(32, 32, 3, stride=2, padding=1)
        self.narrow = torch.nn.Conv2d(32, 16, 1)
        self.classifier = torch.nn.Linear(16, classes)
        for layer in self.children():
            torch.nn.init.kaiming_normal_(layer.weight)
            torch.nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.project(torch.relu(self.stem(x)))
        x = torch.relu(self.middle(torch.relu(self.expand(x))))
        return self.classifier(self.narrow(x).mean((2, 3)))


@pytest.fixture(scope="session")
def network(pixels: np.ndarray, split: Split) -> Graph:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return float_graph(Small(len(split.classes)).eval(), torch.from_numpy(pixels[:1]))


@pytest.fixture(scope="session")
def make_bad(
    tmp_path_factory: pytest.TempPathFactory,
    network: Graph,
    pixels: np.ndarray,
    split: Split,
    preprocess: Preprocess,
) -> Callable[[str], Made]:
    """Build (once) the artifact called `sound`, `uneven` or `clipped`."""
    root = tmp_path_factory.mktemp("bad")
    made: dict[str, Made] = {}

    def make(name: str) -> Made:
        if name not in made:
            made[name] = _build(root, name, network, pixels, split, preprocess)
        return made[name]

    return make


def _build(root: Path, name: str, network: Graph, pixels: np.ndarray, split: Split, preprocess: Preprocess) -> Made:
    graph = with_uneven_channel(network, UNEVEN_LAYER, 0, 1000.0) if name == "uneven" else network
    quantized = calibrate(graph, [pixels], estimator="minmax", input_range=input_range(normalize_table(preprocess)))
    if name == "clipped":
        quantized = with_clipped_range(graph, quantized)
    parent = root / f"{name}.onnx"
    parent.write_bytes(onnx_bytes(graph))
    folder = root / name
    description = Description(
        name=name,
        task="classify",
        head=None,
        preprocess=preprocess,
        labels=Labels(names=split.classes),
        quantization=QuantizationInfo(method="ptq", ranges="minmax"),
        provenance=provenance(source=parent, folder=folder, parent=parent, parent_sha256=file_sha256(parent)),
    )
    images = np.stack([resize(split.image(index), preprocess) for index in range(2)])
    artifact = build_artifact(quantized, description, folder, images=images)
    return Made(artifact=artifact, float_graph=graph, split=split)


def with_clipped_range(graph: Graph, quantized: Graph) -> Graph:
    """The same integers but for one activation, whose range is cut to an eighth: the rest saturates."""
    parameters = {
        name: (tensor.quantization.scale[0], int(tensor.quantization.zero_point[0]))
        for name, tensor in quantized.tensors.items()
        if tensor.data is None and tensor.quantization is not None
    }
    output = next(operator.outputs[0] for operator in quantized.operators if operator.name == CLIPPED_LAYER)
    scale, zero_point = parameters[output]
    parameters[output] = (np.float32(scale / 8), zero_point)
    fused = calibrated_structure(graph, quantized)
    return quantize_graph(fused, parameters)


def calibrated_structure(graph: Graph, quantized: Graph) -> Graph:
    """The float graph with the operators of its quantized form, in which rectifiers are fused."""
    tensors = {
        name: graph.tensors.get(
            name, replace(tensor, dtype="float32", data=np.zeros(tensor.shape, np.float32), quantization=None)
        )
        if tensor.data is not None
        else replace(tensor, dtype="float32", quantization=None)
        for name, tensor in quantized.tensors.items()
    }
    return replace(quantized, tensors=tensors)
