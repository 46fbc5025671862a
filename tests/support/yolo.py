"""A small detector shaped as YOLOv8's exports are: blocks that split and join, and boxes decoded within the graph."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from converters.passes.layout.nhwc import to_nhwc
from converters.passes.legalize import legalize
from converters.passes.tie_parameters import tie_parameters
from converters.tflite.writer import tflite_bytes
from edge.graph.importers.onnx.reader import read_onnx
from edge.quantization.ptq.calibrate import calibrate

REGIONS = 8  # bins of a side's distribution (DFL)


class Conv(nn.Sequential):
    """A convolution with SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2), nn.SiLU())


class Block(nn.Module):
    """C2f: the channels split in two, one half through a bottleneck, and all joined."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.last = Conv(channels, channels, 1), Conv(channels * 3 // 2, channels, 1)
        self.inner = nn.Sequential(Conv(channels // 2, channels // 2), Conv(channels // 2, channels // 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """NCHW in and out, of one shape."""
        kept, passed = self.first(x).chunk(2, dim=1)
        joined: torch.Tensor = self.last(torch.cat((kept, passed, passed + self.inner(passed)), dim=1))
        return joined


class Yolo(nn.Module):
    """Two maps of stride 8 and 16; (1, 4 + classes, cells): centre and sides as shares of the image, probabilities."""

    centres: torch.Tensor
    strides: torch.Tensor

    def __init__(self, side: int = 64, classes: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(Conv(3, 8, stride=2), Conv(8, 16, stride=2), Conv(16, 32, stride=2), Block(32))
        self.down = nn.Sequential(Conv(32, 32, stride=2), Block(32))
        self.boxes = nn.ModuleList(nn.Conv2d(32, 4 * REGIONS, 1) for _ in range(2))
        self.scores = nn.ModuleList(nn.Conv2d(32, classes, 1) for _ in range(2))
        self.classes = classes
        self.distance = nn.Conv2d(REGIONS, 1, 1, bias=False)
        self.distance.weight.data[:] = torch.arange(REGIONS, dtype=torch.float32).reshape(1, REGIONS, 1, 1)
        centres, strides = _cells(side, (8, 16))
        self.register_buffer("centres", centres)
        self.register_buffer("strides", strides)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images float32 (1, 3, side, side)."""
        near = self.stem(x)
        maps = (near, self.down(near))
        raw = torch.cat([head(one).flatten(2) for head, one in zip(self.boxes, maps, strict=True)], dim=2)
        scores = torch.cat([head(one).flatten(2) for head, one in zip(self.scores, maps, strict=True)], dim=2)
        shares = raw.view(1, 4, REGIONS, -1).transpose(2, 1).softmax(1)
        left_top, right_bottom = self.distance(shares).view(1, 4, -1).chunk(2, dim=1)
        low, high = self.centres - left_top, self.centres + right_bottom
        boxes = torch.cat(((low + high) / 2, high - low), dim=1) * self.strides
        return torch.cat((boxes, scores.sigmoid()), dim=1)


def _cells(side: int, strides: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Centres of all cells in steps of their stride (1, 2, cells), x first, and the strides as shares (1, 1, cells)."""
    centres, shares = [], []
    for stride in strides:
        places = torch.arange(side // stride) + 0.5
        rows, columns = torch.meshgrid(places, places, indexing="ij")
        centres.append(torch.stack([columns.flatten(), rows.flatten()]))
        shares.append(torch.full((1, rows.numel()), stride / side))
    return torch.cat(centres, dim=1)[None], torch.cat(shares, dim=1)[None]


def yolo_onnx(path: Path, *, classes: int, side: int) -> Path:
    """The network with random weights as an ONNX file, its input the pixels as shares of 255."""
    torch.manual_seed(0)
    network = Yolo(side, classes).eval()
    with torch.no_grad():
        for head in network.scores:
            head.get_parameter("bias").add_(0.5)
    example = (torch.zeros(1, 3, side, side),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an exporter that torch will leave one day, and that other people use
        torch.onnx.export(network, example, path, opset_version=17, dynamo=False, output_names=["output0"])
    return path


def yolo_file(path: Path, *, classes: int, side: int) -> Path:
    """The same as an INT8 TFLite file."""
    graph = read_onnx(yolo_onnx(path.with_suffix(".onnx"), classes=classes, side=side))
    images = np.random.default_rng(0).uniform(0, 1, (4, 3, side, side)).astype(np.float32)
    integers = calibrate(graph, [images], input_range=(0.0, 1.0))
    path.write_bytes(tflite_bytes(to_nhwc(legalize(tie_parameters(integers)))))
    return path
