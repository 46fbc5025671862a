"""What `prepare_qat` accepts is written exactly: forms that become several operators, or one of another kind."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from converters.convert.bare_file import convert_file
from converters.onnx.file import onnx_bytes
from edge.quantization.qat.freeze import freeze
from edge.quantization.qat.phase import TRAIN
from edge.quantization.qat.prepare import QatOptions, prepare_qat, set_phase

Forward = Callable[["Network", Tensor], Tensor]


class Network(nn.Module):
    """A module whose forward is the given function of itself and x."""

    def __init__(self, function: Forward) -> None:
        super().__init__()
        self.function = function
        self.a, self.b, self.norm = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.BatchNorm1d(4)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def skip_rectified_in_place(self: Network, x: Tensor) -> Tensor:
    y = self.a(x)
    z = self.b(self.relu(y))
    z += y
    return z * y


FORMS: dict[str, Forward] = {
    "average pool, padding counts": lambda self, x: functional.avg_pool2d(self.a(x), 3, 2, 1),
    "average pool, SAME": lambda self, x: functional.avg_pool2d(self.a(x), 3, 1, 1, count_include_pad=False),
    "average pool of a sigmoid": lambda self, x: functional.avg_pool2d(self.a(x).sigmoid(), 3, 2, 1),
    "batch norm of (n, c)": lambda self, x: functional.relu(self.norm(self.a(x).mean((2, 3)))),
    "batch norm of (n, c, length)": lambda self, x: self.norm(self.a(x).flatten(2)),
    "changes in place": skip_rectified_in_place,
    "one tensor twice": lambda self, x: (lambda y: (y, y))(self.a(x)),
    "the input beside": lambda self, x: (x, self.a(x)),
    "another axis": lambda self, x: self.a(x).flatten(2).softmax(1),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_training_takes_is_written_exactly(form: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    prepared = prepare_qat(Network(FORMS[form]), torch.zeros(1, 3, 8, 8), options=QatOptions(ranges="learned")).train()
    prepared(torch.randn(4, 3, 8, 8))
    set_phase(prepared, TRAIN)
    outputs = prepared(torch.randn(4, 3, 8, 8))
    (outputs[-1] if isinstance(outputs, tuple) else outputs).sum().backward()
    (tmp_path / "model.onnx").write_bytes(onnx_bytes(freeze(prepared.eval())))
    check = convert_file(tmp_path / "model.onnx", tmp_path / "model.tflite").check
    assert check is not None and {output.differing for output in check.outputs} == {0}
