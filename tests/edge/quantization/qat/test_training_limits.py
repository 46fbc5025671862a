"""Ranges in training stay within the kernels' limits, so that a dead activation makes no file that nothing loads."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from converters.convert.bare_file import convert_file
from converters.onnx.file import onnx_bytes
from edge.graph.ops.kernel_limits import limit_fault
from edge.quantization.qat.freeze import freeze
from edge.quantization.qat.phase import TRAIN_FOLDED
from edge.quantization.qat.prepare import QatOptions, QuantizedModel, prepare_qat, set_phase

EXAMPLE = torch.zeros(1, 3, 16, 16)


class Gate(nn.Module):
    """A channel gate, whose rectifier is dead on every image where the bias of `down` is low."""

    def __init__(self, bias: float) -> None:
        super().__init__()
        self.stem, self.down, self.up = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        nn.init.constant_(self.down.bias, bias)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        return y * self.up(torch.relu(self.down(y.mean((2, 3), keepdim=True)))).sigmoid()


def trained(model: nn.Module, ranges: str, steps: int = 3) -> QuantizedModel:
    generator = torch.Generator().manual_seed(0)
    prepared = prepare_qat(model, EXAMPLE, options=QatOptions(ranges=ranges)).train()  # type: ignore[arg-type]
    with torch.no_grad():
        prepared(torch.randn(4, 3, 16, 16, generator=generator))
    set_phase(prepared, TRAIN_FOLDED)
    optimizer = torch.optim.SGD([parameter for parameter in prepared.parameters() if parameter.requires_grad], lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        prepared(torch.randn(4, 3, 16, 16, generator=generator)).square().mean().backward()
        optimizer.step()
    return prepared.eval()


def assert_loads_and_is_exact(prepared: QuantizedModel, folder: Path) -> None:
    graph = freeze(prepared)
    assert not any(limit_fault(operator, graph.tensors) for operator in graph.operators)
    (folder / "model.onnx").write_bytes(onnx_bytes(graph))
    check = convert_file(folder / "model.onnx", folder / "model.tflite").check  # runs it in LiteRT
    assert check is not None and [output.differing for output in check.outputs] == [0]


@pytest.mark.parametrize("ranges", ["learned", "moving_average"])
def test_a_dead_rectifier_makes_a_file_that_loads(ranges: str, tmp_path: Path) -> None:
    prepared = trained(Gate(-500.0), ranges)
    scale, zero_point = prepared.quantizer("relu").parameters_now()
    assert (scale, zero_point) == (float(np.float32(1 / 255)), -128)  # zero in effect: the range [0, 1]
    assert_loads_and_is_exact(prepared, tmp_path)


@pytest.mark.parametrize("ranges", ["learned", "moving_average"])
def test_a_range_too_narrow_for_its_convolution_is_widened(ranges: str, tmp_path: Path) -> None:
    prepared = trained(Gate(0.0), ranges)
    quantizer = prepared.quantizer("relu")
    quantizer.high.data.fill_(1e-5)
    prepared.layers["down"].layer.weight.data.mul_(100.0)
    with torch.no_grad():
        prepared(EXAMPLE)
    held = quantizer.parameters_now()
    assert float(quantizer.high.detach()) == pytest.approx(1e-5) and held[0] > 1e-5 / 255 and held[1] == -128
    assert_loads_and_is_exact(prepared, tmp_path)
    assert quantizer.parameters_now() == held


def test_healthy_ranges_are_left_as_they_are() -> None:
    prepared = trained(Gate(0.0), "learned")
    prepared.hold_limits()
    quantizers = [prepared.quantizer(name) for name in ("stem", "mean", "relu", "up", "mul")]
    assert all(quantizer.floor == 0.0 for quantizer in quantizers)
