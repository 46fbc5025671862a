"""A user's own involution, written as people write it: captured, trained with quantization, exact in LiteRT."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from converters.convert.bare_file import convert_file
from converters.onnx.file import onnx_bytes
from edge.errors import UnsupportedError
from edge.execution.float_run import run_float
from edge.execution.integer import IntegerSimulation
from edge.graph.analyses.counts import count_graph
from edge.graph.graph import Graph
from edge.models.count import count_module
from edge.models.registry import build
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph, freeze
from edge.quantization.qat.phase import TRAIN, TRAIN_FOLDED
from edge.quantization.qat.prepare import QatOptions, QuantizedModel, prepare_qat, set_phase
from tests.benchmarks.involution_forms import FORMS as SUMS
from tests.benchmarks.involution_forms import layer, signal_to_noise

CHANNELS, GROUPS, SIZE = 32, 2, 12


class Generated(nn.Module):
    """What all forms share: the kernel of every position by two 1x1 convolutions."""

    def __init__(self, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS), nn.ReLU())
        self.pool = nn.AvgPool2d(stride, stride) if stride > 1 else nn.Identity()
        self.reduce = nn.Sequential(nn.Conv2d(CHANNELS, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.expand = nn.Conv2d(8, kernel_size**2 * GROUPS, 1)
        self.unfold = nn.Unfold(kernel_size, 1, (kernel_size - 1) // 2, stride)
        self.norm = nn.BatchNorm2d(CHANNELS)
        self.size, self.stride, self.count = kernel_size, stride, kernel_size**2

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.norm(self.summed(x, self.expand(self.reduce(self.pool(x)))))  # type: ignore[no-any-return]  # untyped


class Authors(Generated):
    """d-li14/involution: six axes, a product, a sum over the fourth."""

    def summed(self, x: Tensor, weight: Tensor) -> Tensor:
        b, _, h, w = weight.shape
        weight = weight.view(b, GROUPS, self.count, h, w).unsqueeze(2)
        out = self.unfold(x).view(b, GROUPS, CHANNELS // GROUPS, self.count, h, w)
        return (weight * out).sum(dim=3).view(b, CHANNELS, h, w)


class Product(Generated):
    """F.unfold, and one product of matrices per position and group."""

    def summed(self, x: Tensor, weight: Tensor) -> Tensor:
        b, _, h, w = weight.shape
        columns = functional.unfold(x, self.size, padding=(self.size - 1) // 2, stride=self.stride)
        columns = columns.view(b, GROUPS, CHANNELS // GROUPS, self.count, h * w).permute(0, 4, 1, 2, 3)
        weight = weight.view(b, GROUPS, self.count, h * w).permute(0, 3, 1, 2).unsqueeze(-1)
        out = torch.matmul(columns, weight).squeeze(-1)  # (b, h w, G, C / G)
        return out.reshape(b, h * w, CHANNELS).transpose(1, 2).reshape(b, CHANNELS, h, w)


class Flat(Generated):
    """F.unfold with positions on one axis, a product and a sum."""

    def summed(self, x: Tensor, weight: Tensor) -> Tensor:
        b, _, h, w = weight.shape
        columns = functional.unfold(x, self.size, padding=(self.size - 1) // 2, stride=self.stride)
        columns = columns.reshape(b, GROUPS, -1, self.count, h * w)
        return torch.sum(columns * weight.reshape(b, GROUPS, 1, self.count, h * w), 3).reshape(b, -1, h, w)


FORMS = {"authors": (Authors, 3, 1), "product": (Product, 7, 1), "flat": (Flat, 5, 2)}


def images(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def prepared_model(model: nn.Module, ranges: str) -> QuantizedModel:
    prepared = prepare_qat(model.train(), images(1), options=QatOptions(ranges=ranges))  # type: ignore[arg-type]
    with torch.no_grad():
        for seed in range(3):
            prepared(images(4, seed))
    return prepared


def trained(prepared: QuantizedModel) -> QuantizedModel:
    optimizer = torch.optim.SGD([entry for entry in prepared.parameters() if entry.requires_grad], lr=0.02)
    for step in range(6):
        set_phase(prepared, TRAIN if step < 3 else TRAIN_FOLDED)
        optimizer.zero_grad()
        (prepared(images(4, step)) - 1.0).square().mean().backward()
        optimizer.step()
    return prepared.eval()


def exact(graph: Graph, folder: Path) -> Counter[str]:
    """The operators of the TFLite file, which holds integers alone and gives the simulation's values."""
    (folder / "model.onnx").write_bytes(onnx_bytes(graph))
    made = convert_file(folder / "model.onnx", folder / "model.tflite")  # runs it in LiteRT
    assert made.check is not None and [output.differing for output in made.check.outputs] == [0]
    assert not made.floats and not {"QUANTIZE", "DEQUANTIZE"} & set(made.operators)
    return Counter(made.operators)


@pytest.mark.parametrize("form", FORMS)
def test_a_users_own_involution_trains_and_is_exact(form: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, kernel_size, stride = FORMS[form]
    prepared = trained(prepared_model(module(kernel_size, stride), "learned"))
    graph = freeze(prepared)
    operators = exact(graph, tmp_path)
    assert (
        operators["BATCH_MATMUL" if form == "product" else "SUM"] == 1
        and operators["SLICE"] + operators["STRIDED_SLICE"] > 8
    )
    x = images(8, seed=5)
    scale, zero_point = prepared.quantizer(graph.outputs[0]).parameters_now()
    with torch.no_grad():
        forward = np.rint(prepared(x).numpy() / scale) + zero_point
    first = graph.tensors[graph.inputs[0]].quantization
    assert first is not None
    raw = np.clip(np.rint(x.numpy() / first.scale[0]) + first.zero_point[0], -128, 127).astype(np.int8)
    (simulated,) = IntegerSimulation(graph).run([raw])
    apart = np.abs(forward - simulated)
    assert apart.max() <= 2 and (apart != 0).mean() < 0.05  # what trained is what ships, but for roundings of ties


@pytest.mark.parametrize("form", FORMS)
def test_a_users_own_involution_calibrates_and_is_exact(form: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, kernel_size, stride = FORMS[form]
    graph = float_graph(module(kernel_size, stride).eval(), images(1))
    assert (
        exact(calibrate(graph, [images(8).numpy()]), tmp_path)["TRANSPOSE"] == 1
    )  # of the kernels, or for the matrices


@pytest.mark.parametrize(
    ("kernel_size", "dilation", "padding", "stride"),
    [(3, 1, 1, 1), ((3, 5), (2, 1), (2, 0), (1, 3)), (2, 1, 0, 2), ((1, 4), 1, (0, 2), 4)],
)
def test_unfold_is_captured_in_every_form(
    kernel_size: object, dilation: object, padding: object, stride: object
) -> None:
    class Unfolded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return functional.unfold(self.conv(x), kernel_size, dilation, padding, stride)  # type: ignore[arg-type]

    model, x = Unfolded().eval(), images(1)
    with torch.no_grad():
        graph = float_graph(model, x)
        found = run_float(graph, [x.numpy()])[graph.outputs[0]]
        np.testing.assert_allclose(found, model(x).numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("multiply", "axes"),
    [
        (lambda x: x @ x.flatten(2), "3 and 4"),
        (lambda x: x.reshape(x.shape[0], 1, 2, 2, 4, 4) @ x.reshape(x.shape[0], 1, 2, 2, 4, 4), "6"),
    ],
)
def test_a_product_that_no_kernel_takes_is_refused_by_name(multiply: object, axes: str) -> None:
    class Multiplied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return multiply(self.conv(x)[:, :, :4, :4])  # type: ignore[operator,no-any-return]

    with pytest.raises(UnsupportedError, match=f"matmul: a product of matrices over {axes} axes has no operator"):
        float_graph(Multiplied().eval(), images(1))


def test_a_graph_counts_the_sum_as_the_module_does() -> None:
    model = build("rednet", classes=4, width=0.25, resolution=32)
    graph = float_graph(model.eval(), torch.zeros(1, 3, 32, 32))
    norms = sum(  # a batch norm behind an involution is a layer of its own
        operator.multiply_adds or 0 for operator in count_graph(graph).operators if ".scale" in operator.name
    )
    assert norms > 0 and count_graph(graph).multiply_adds - norms == count_module(model).multiply_adds


def test_one_sum_keeps_what_a_chain_of_additions_loses() -> None:
    decibels = {name: signal_to_noise(*layer(7, form)) for name, form in SUMS.items()}
    assert decibels["product and sum"] > 23 and decibels["matrices"] > 25
    assert decibels["chain"] < decibels["product and sum"] - 4


@pytest.mark.slow
@pytest.mark.parametrize("depth", [26, 38, 50])
def test_rednet_of_every_depth_is_exact(depth: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build("rednet", classes=10, depth=depth, resolution=64).train()
    x = torch.randn(4, 3, 64, 64)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches
    with torch.no_grad():
        model(x)
    graph = calibrate(float_graph(model.eval(), x[:1]), [x.numpy()])
    operators = exact(graph, tmp_path)
    count = sum({26: (1, 2, 4, 1), 38: (2, 3, 5, 2), 50: (3, 4, 6, 3)}[depth]) + 1
    assert operators["SUM"] == operators["MUL"] == operators["DEPTHWISE_CONV_2D"] == count
