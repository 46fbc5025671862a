"""What `edge bench --explain` says a change would pay, against what it pays when it is made.

    python -m tests.benchmarks.changes [--threads N]

Pairs of INT8 TFLite files, one with a fault and one without, go through one `edge bench --explain`, in turn. Printed
are the gain that the first file's explanation names for the change and the one that the medians of both show.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from converters.tflite.writer import tflite_bytes
from edge.graph.graph import Graph, Operator, Quantization, Tensor, per_tensor

SIDE, CLASSES = 48, 20


class Network:
    """An int8 graph (nhwc) that grows operator by operator; `at` is the last output."""

    def __init__(self, *shape: int) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.operators: list[Operator] = []
        self.at = self._activation("image", shape)
        self.rng = np.random.default_rng(0)

    def _activation(self, name: str, shape: tuple[int, ...], dtype: str = "int8") -> str:
        quantization = per_tensor(0.05, 0) if dtype == "int8" else None
        self.tensors[name] = Tensor(name=name, shape=shape, dtype=dtype, quantization=quantization)
        return name

    def add(self, kind: str, shape: tuple[int, ...], *constants: str, dtype: str = "int8", **attributes: Any) -> None:
        """An operator over the last output."""
        name = f"{kind.lower()}.{len(self.operators)}"
        inputs = (self.at, *constants)
        self.at = self._activation(f"{name}.out", shape, dtype)
        self.operators.append(Operator(kind=kind, name=name, inputs=inputs, outputs=(self.at,), attributes=attributes))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the last output."""
        return self.tensors[self.at].shape

    def conv(self, channels: int, *, kernel: int = 3, stride: int = 1, padded: bool = True) -> None:
        """A dense convolution; not padded it takes what it is given."""
        _, height, width, given = self.shape
        pads = (kernel // 2,) * 4 if padded else (0,) * 4
        size = tuple((side + pads[0] + pads[2] - kernel) // stride + 1 for side in (height, width))
        place = len(self.operators)
        scale, zeros = np.full(channels, 0.01, np.float32), np.zeros(channels, np.int64)
        weight = self.rng.integers(-127, 128, (channels, given, kernel, kernel)).astype(np.int8)
        constants = (
            Tensor(
                name=f"weight.{place}",
                shape=weight.shape,
                dtype="int8",
                data=weight,
                quantization=Quantization(scale=scale, zero_point=zeros, axis=0),
            ),
            Tensor(
                name=f"bias.{place}",
                shape=(channels,),
                dtype="int32",
                data=np.zeros(channels, np.int32),
                quantization=Quantization(scale=np.float32(0.05) * scale, zero_point=zeros, axis=0),
            ),
        )
        self.tensors.update({tensor.name: tensor for tensor in constants})
        self.add(
            "Conv",
            (1, *size, channels),
            *(tensor.name for tensor in constants),
            strides=(stride, stride),
            pads=pads,
            dilations=(1, 1),
            group=1,
            activation="relu",
        )

    def pad(self) -> None:
        """One pixel of zeros around the map."""
        _, height, width, channels = self.shape
        pads = ((0, 0), (1, 1), (1, 1), (0, 0))
        self.add("Pad", (1, height + 2, width + 2, channels), pads=pads, value=0.0)

    def transpose(self) -> None:
        """Height and width change places."""
        _, height, width, channels = self.shape
        self.add("Transpose", (1, width, height, channels), perm=(0, 2, 1, 3))

    def resize(self, factor: int, mode: str = "linear") -> None:
        """The map made larger."""
        _, height, width, channels = self.shape
        size = (height * factor, width * factor)
        self.add("Resize", (1, *size, channels), mode=mode, coordinates="half_pixel", size_hw=size)

    def classes(self) -> None:
        """The best channel of every pixel."""
        self.add("ArgMax", self.shape[:-1], dtype="int32", axis=3, keepdims=False)

    def file(self) -> bytes:
        """As TFLite."""
        graph = Graph(
            name="network",
            layout="nhwc",
            operators=tuple(self.operators),
            tensors=self.tensors,
            inputs=("image",),
            outputs=(self.at,),
        )
        return tflite_bytes(graph)


def pads(fault: bool) -> bytes:
    """Four convolutions; with a PAD before each, or padded themselves."""
    network = Network(1, SIDE, SIDE, 16)
    for _ in range(4):
        if fault:
            network.pad()
        network.conv(16, padded=not fault)
    return network.file()


def transposes(fault: bool) -> bytes:
    """Four convolutions; with a TRANSPOSE behind each of the first two, or none."""
    network = Network(1, SIDE, SIDE, 32)
    for place in range(4):
        network.conv(32)
        if fault and place < 2:
            network.transpose()
    return network.file()


def class_map(fault: bool) -> bytes:
    """Classes chosen behind the last resize, or before it."""
    network = Network(1, SIDE, SIDE, 32)
    for channels in (32, 32, CLASSES):
        network.conv(channels)
    if fault:
        network.resize(4)
    network.classes()
    return network.file()


# what is looked for in the sentence of a change -> the pair of files
PAIRS: Mapping[str, Callable[[bool], bytes]] = MappingProxyType(
    {"fold the pads": pads, "take the transposes out": transposes, "choose classes": class_map}
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Hold the gains that --explain names to those that are measured.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--engine", default="litert")
    asked = parser.parse_args()
    table = Table("change", "before, us", "after, us", "said", "measured")
    for words, make in PAIRS.items():
        before, after = explained_pair(make, asked.engine, asked.threads)
        said = [one["gain"] for one in before["explanation"]["changes"] if one["sentence"].startswith(words)]
        medians_ns = [record["latency_ns"]["p50_ns"] for record in (before, after)]
        table.add_row(
            words,
            *(f"{value / 1e3:.0f}" for value in medians_ns),
            f"{said[0]:.1%}" if said else "nothing",
            f"{1 - medians_ns[1] / medians_ns[0]:.1%}",
        )
    Console().print(table)


def explained_pair(make: Callable[[bool], bytes], engine: str, threads: int) -> list[dict[str, Any]]:
    """Records of the file with the fault and of the one without, measured in turn."""
    with tempfile.TemporaryDirectory() as name:
        paths = [Path(name) / "before.tflite", Path(name) / "after.tflite"]
        for path, fault in zip(paths, (True, False), strict=True):
            path.write_bytes(make(fault))
        line = ["edge", "bench", *map(str, paths), "--engine", engine, "--explain", "--json"]
        done = subprocess.run([*line, "--threads", str(threads)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.strip())
    return [json.loads(text) for text in done.stdout.splitlines()]


if __name__ == "__main__":
    main()
