"""What attention costs in INT8: MobileNetV2 0.35 at 96x96, plain and with every attention module, run in turn.

`python -m tests.benchmarks.attention_cost` prints thread CPU time in microseconds and its ratio to the plain network.
Weights are random, gates are open and ranges calibrated: what the files answer means nothing, what they cost does.
"""

import time
from collections.abc import Mapping

import click
import numpy as np
import torch
from torch import nn

from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.models.attention import ATTENTION
from edge.models.gct import GatedChannelTransformation
from edge.models.registry import build
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph

SIZE = 96


def model_file(attention: str) -> bytes:
    """The network as an INT8 TFLite file."""
    torch.manual_seed(0)
    model = build("mobilenet_v2", classes=8, width=0.35, resolution=SIZE, attention=attention)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
        if isinstance(module, GatedChannelTransformation):
            nn.init.normal_(module.gate.weight, std=0.5)
    images = torch.randn(8, 3, SIZE, SIZE)
    with torch.no_grad():
        model.train()(images)
    graph = calibrate(float_graph(model.eval(), images[:1]), [images.numpy()], estimator="minmax")
    return tflite_bytes(to_nhwc(graph))


def measure(files: Mapping[str, bytes], runs: int) -> dict[str, int]:
    """The smallest thread CPU time of each file in nanoseconds, the files run in turn."""
    from ai_edge_litert.interpreter import Interpreter  # ours to measure, not to hide behind an engine

    interpreters = {}
    for name, data in files.items():
        interpreter = Interpreter(model_content=data, num_threads=1)
        interpreter.allocate_tensors()
        given = interpreter.get_input_details()[0]
        image = np.random.default_rng(0).integers(-128, 128, given["shape"]).astype(np.int8)
        interpreter.set_tensor(given["index"], image)
        interpreters[name] = interpreter
    taken_ns: dict[str, list[int]] = {name: [] for name in files}
    for _ in range(runs):
        for name, interpreter in interpreters.items():
            begin_ns = time.thread_time_ns()
            interpreter.invoke()
            taken_ns[name].append(time.thread_time_ns() - begin_ns)
    return {name: min(values) for name, values in taken_ns.items()}


@click.command()
@click.option("--runs", default=600, help="Of each file.")
def main(runs: int) -> None:
    """Print a line per file."""
    torch.set_num_threads(1)
    found = measure({name: model_file(name) for name in ATTENTION}, runs)
    for name, smallest_ns in found.items():
        click.echo(f"{name:10} {smallest_ns / 1000:8.1f} us  x{smallest_ns / found['none']:.2f}")


if __name__ == "__main__":
    main()
