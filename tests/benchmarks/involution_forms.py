"""The forms of an involution's weighted sum in INT8: signal to noise against the float layer, and time.

`python -m tests.benchmarks.involution_forms` prints a row per kernel size and form: a chain of products and additions,
one product and one sum (`edge.models.involution`), a product of matrices per position, and the plain depthwise
convolution of the same size beside them. Weights are random, ranges calibrated; all files equal their simulation.
"""

import time
from collections.abc import Callable, Mapping

import click
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.execution.float_run import run_float
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from edge.models.involution import Involution, WeightedSum
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph

CHANNELS, SIZE, IMAGES = 64, 14, 8
Form = Callable[[WeightedSum, Tensor, Tensor], Tensor]


def chained(module: WeightedSum, x: Tensor, kernel: Tensor) -> Tensor:
    """K K products, added one after another."""
    n, channels, height, width = x.shape
    edge, size = (module.kernel_size - 1) // 2, module.kernel_size
    x = functional.pad(x, (edge, edge, edge, edge))
    kernel = kernel.reshape(n, size * size, module.groups, 1, height * width)
    total: Tensor | None = None
    for shift in range(size * size):
        row, column = divmod(shift, size)
        seen = x[:, :, row : row + height, column : column + width]
        part = seen.reshape(n, 1, module.groups, -1, height * width) * kernel[:, shift : shift + 1]
        total = part if total is None else total + part
    assert total is not None
    return total.reshape(n, channels, height, width)


def multiplied(module: WeightedSum, x: Tensor, kernel: Tensor) -> Tensor:
    """One product of matrices for every position and group."""
    n, channels, height, width = x.shape
    count, groups = module.kernel_size**2, module.groups
    columns = functional.unfold(x, module.kernel_size, padding=(module.kernel_size - 1) // 2)
    columns = columns.reshape(n, groups, -1, count, height * width).permute(0, 4, 1, 2, 3)
    kernel = kernel.reshape(n, count, groups, height * width).permute(0, 3, 2, 1).unsqueeze(-1)
    out = (columns @ kernel).reshape(n, height * width, channels)
    return out.permute(0, 2, 1).reshape(n, channels, height, width)


FORMS: dict[str, Form] = {"chain": chained, "product and sum": WeightedSum.forward, "matrices": multiplied}


class Layer(nn.Module):
    """A stem and an involution in one of FORMS, or a depthwise convolution."""

    def __init__(self, kernel_size: int, form: Form | None) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, CHANNELS, 1), nn.ReLU())
        self.involution = Involution(CHANNELS, kernel_size)
        self.depthwise = nn.Conv2d(CHANNELS, CHANNELS, kernel_size, padding=kernel_size // 2, groups=CHANNELS)
        self.form = form

    def forward(self, x: Tensor) -> Tensor:
        """Map float (n, 3, h, w) to (n, CHANNELS, h, w)."""
        x = self.stem(x)
        if self.form is None:
            return self.depthwise(x)  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped
        return self.form(self.involution.sum, x, self.involution.kernels(x))


def images() -> Tensor:
    """Random images, the same at every call."""
    return torch.randn(IMAGES, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def layer(kernel_size: int, form: Form | None) -> tuple[Graph, Graph]:
    """The layer as a float graph and as a calibrated one; every form has the same weights."""
    torch.manual_seed(0)
    model = Layer(kernel_size, form).train()
    with torch.no_grad():
        for _ in range(20):
            model(images())
    graph = float_graph(model.eval(), images()[:1])
    return graph, calibrate(graph, [images().numpy()])


def signal_to_noise(graph: Graph, integers: Graph) -> float:
    """Of the integer graph against the float one, in decibels."""
    found, expected = [], []
    first, last = (integers.tensors[name].quantization for name in (integers.inputs[0], integers.outputs[0]))
    assert first is not None and last is not None
    for image in images().numpy():
        expected.append(run_float(graph, [image[None]])[graph.outputs[0]])
        raw = np.clip(np.rint(image[None] / first.scale[0]) + first.zero_point[0], -128, 127).astype(np.int8)
        given = IntegerSimulation(integers).run([raw])[0].astype(np.float64)
        found.append((given - last.zero_point[0]) * last.scale[0])
    truth = np.concatenate(expected).astype(np.float64)
    noise = np.square(np.concatenate(found) - truth).mean()
    return float(10 * np.log10(np.square(truth).mean() / noise))


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
@click.option("--runs", default=200, help="Of each file.")
def main(runs: int) -> None:
    """Print a row per kernel size and form."""
    torch.set_num_threads(1)
    for kernel_size in (3, 7):
        graphs = {name: layer(kernel_size, form) for name, form in {**FORMS, "depthwise": None}.items()}
        taken = measure({name: tflite_bytes(to_nhwc(integers)) for name, (_, integers) in graphs.items()}, runs)
        for name, (graph, integers) in graphs.items():
            decibels = signal_to_noise(graph, integers)
            click.echo(f"{kernel_size}x{kernel_size} {name:16} {decibels:5.1f} dB {taken[name] / 1000:8.1f} us")


if __name__ == "__main__":
    main()
