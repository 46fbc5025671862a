"""One scale per weight ruins a network, and steps bring it back: hard-swish, squeeze-and-excitation, depthwise layers.

    python -m tests.benchmarks.per_tensor

Trains a small network of that kind on generated objects (minutes of one core), quantizes it after training with 100
unlabelled images and prints top-1 and agreement with the float network on other images, by the integer simulation,
which is the file: in float, with a scale per output channel, with one scale per weight, and the same with steps.
That one scale per weight is useless for networks with depthwise layers is what arXiv 1806.08342, table 3, tells. Here
the reason is made on purpose, as network slimming makes it (arXiv 1708.06519): training pulls the scales of batch norms
to 0, and the channels that end there stay in the network, weights behind them folded with a deviation of 0.
"""

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from converters.passes.canonical import canonical
from edge.artifact.scheme import Granularity, Scheme
from edge.data.generated import generated_split
from edge.data.object_image import OBJECT_CLASSES
from edge.execution.float_run import FloatRun
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.quantization.ptq.calibrate import prepared
from edge.quantization.ptq.improve import Improved, improve
from edge.quantization.ptq.judge import Judge
from edge.quantization.ptq.steps import effort_for
from edge.quantization.quantize_graph import with_biases

SIZE = 48
CALIBRATION = 100
BATCH = 32
WAYS: Sequence[tuple[Granularity, str]] = (
    ("per_channel", "plain"), ("per_channel", "default"),
    ("per_tensor", "plain"), ("per_tensor", "fast"), ("per_tensor", "default"),
)  # fmt: skip


class Gate(nn.Module):
    """Squeeze and excitation (arXiv 1709.01507), its gate a hard sigmoid as in MobileNetV3 (arXiv 1905.02244)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Conv2d(channels, channels // 4, 1), nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Of x's shape (n, c, h, w)."""
        gate = self.excite(functional.relu(self.squeeze(x.mean((2, 3), keepdim=True))))
        return x * functional.hardsigmoid(gate)


class Block(nn.Module):
    """Expansion, depthwise layer, gate, projection; with a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = 4 * inputs
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.Hardswish(),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.Hardswish(),
            Gate(wide),
            nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(n, outputs, h, w)."""
        y: Tensor = self.layers(x)
        return x + y if self.shortcut else y


def network() -> nn.Module:
    """Logits (n, classes) of images (n, 3, SIZE, SIZE)."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish(),
        Block(16, 16, 1), Block(16, 24, 2), Block(24, 24, 1), Block(24, 32, 2), Block(32, 32, 1),
        nn.Conv2d(32, 96, 1, bias=False), nn.BatchNorm2d(96), nn.Hardswish(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, len(OBJECT_CLASSES)),
    )  # fmt: skip


def images(part: str, count: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Generated objects in [-1, 1] (n, 3, SIZE, SIZE), and their labels."""
    split = generated_split("classify", part, count, shape_hw=(SIZE, SIZE))
    pixels = np.stack([split.image(index) for index in range(count)]).transpose(0, 3, 1, 2)
    labels = np.array([split.label(index) for index in range(count)], np.int64)
    return np.ascontiguousarray(pixels / np.float32(127.5) - np.float32(1)), labels


def trained(epochs: int, seed: int, count: int, slimming: float) -> nn.Module:
    """The network after some epochs of Adam with one cycle of the learning rate.

    Args:
        slimming: weight of the absolute scales and shifts of the batch norms before depthwise layers in the loss,
            which end at exactly 0 (by proximal steps).
    """
    torch.manual_seed(seed)
    model = network()
    slimmed = [
        block.layers[1].get_parameter(name)
        for block in model.modules()
        if isinstance(block, Block)
        for name in ("weight", "bias")
    ]
    pixels, labels = (torch.from_numpy(values) for values in images("train", count))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    steps = count // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=epochs * steps)
    for epoch in range(epochs):
        loss = torch.zeros(())
        for chosen in torch.randperm(count)[: steps * BATCH].reshape(-1, BATCH):
            x = pixels[chosen]
            x = x.flip(3) if bool(torch.rand(()) < 0.5) else x
            loss = functional.cross_entropy(model(x), labels[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch's stub
            optimizer.step()
            with torch.no_grad():
                for value in slimmed:
                    value.copy_(functional.softshrink(value, slimming * float(schedule.get_last_lr()[0])))
            schedule.step()
        click.echo(f"epoch {epoch + 1} of {epochs}: loss {loss.item():.3f}", err=True)
    return model.eval()


def graph_of(model: nn.Module) -> Graph:
    """As a step takes it, by way of an ONNX file: batch norm folded, a bias in every layer."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / "model.onnx"
        warnings.simplefilter("ignore")  # of an exporter that torch will leave one day
        torch.onnx.export(model, (torch.zeros(1, 3, SIZE, SIZE),), path, opset_version=17, dynamo=False)
        return with_biases(prepared(canonical(read_onnx(path))))


class Given:
    """Images that are there."""

    def __init__(self, pixels: npt.NDArray[np.float32]) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, indices: Sequence[int]) -> npt.NDArray[np.float32]:
        """Some of them."""
        found: npt.NDArray[np.float32] = self.pixels[list(indices)]
        return found


def row(granularity: Granularity, made: Improved, judge: Judge) -> str:
    """What was made, on the judge's images."""
    score = judge.total(made.state)
    kept = ", ".join(outcome.step for outcome in made.outcomes if outcome.kept) or "nearest"
    one = {"per_channel": "a scale per channel", "per_tensor": "one scale each"}[granularity]
    return f"| {one} | {kept} | {score.accuracy:.1%} | {score.agreement:.1%} | {score.sqnr_db:.1f} |"


@click.command()
@click.option("--epochs", type=click.IntRange(1), default=8, show_default=True)
@click.option("--train-images", type=click.IntRange(BATCH), default=1600, show_default=True)
@click.option("--slimming", type=click.FloatRange(0), default=1.0, show_default=True)
@click.option("--test-images", type=click.IntRange(1), default=400, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
def main(epochs: int, train_images: int, slimming: float, test_images: int, seed: int, threads: int) -> None:
    """Train, quantize in several ways and print a row each."""
    torch.set_num_threads(threads)
    graph = graph_of(trained(epochs, seed, train_images, slimming))
    pixels, labels = images("val", test_images)
    calibration = Given(images("calibration", CALIBRATION)[0])
    judge = Judge(graph, Given(pixels), decides=True, labels=labels)
    click.echo("| weights | steps kept | top-1 | agreement with float | SQNR dB |")
    click.echo("| --- | --- | ---: | ---: | ---: |")
    accuracy = float((FloatRun(graph).run([pixels])[0].argmax(axis=1) == labels).mean())
    click.echo(f"| float | | {accuracy:.1%} | | |")
    for granularity, name in WAYS:
        scheme = Scheme(weight_granularity=granularity)
        effort = effort_for(name, scheme)
        made = improve(
            graph, calibration, steps=effort.steps, multiply_adds=effort.multiply_adds, epochs=effort.epochs,
            decides=True, scheme=scheme, seed=seed,
        )  # fmt: skip
        click.echo(row(granularity, made, judge))


if __name__ == "__main__":
    main()
