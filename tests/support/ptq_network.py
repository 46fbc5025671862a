"""A small classifier in whose channels and kernels quantization finds something to mend, and images for it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edge.graph.graph import Graph
from edge.quantization.ptq.calibrate import prepared
from edge.quantization.qat.freeze import float_graph
from edge.quantization.quantize_graph import with_biases


class Uneven(nn.Module):
    """Channels of very different sizes, a depthwise layer whose large weights cancel, a sum, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.project = nn.Conv2d(8, 8, 1, bias=False)
        self.again = nn.Conv2d(8, 8, 1)
        self.classifier = nn.Linear(8, 5)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
            self.stem.weight.mul_(torch.logspace(-1.5, 0.5, 8).reshape(8, 1, 1, 1))
            self.depthwise.weight.mul_(20.0)
            self.depthwise.weight.sub_(self.depthwise.weight.mean((2, 3), keepdim=True))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, 5)."""
        x = self.project(nn.functional.relu6(self.depthwise(nn.functional.relu6(self.stem(x)))))
        x = x + self.again(x)
        return self.classifier(x.mean((2, 3)))  # type: ignore[no-any-return]


def uneven_graph() -> Graph:
    """As a step takes it: float, rectifiers fused, a bias in every layer."""
    return with_biases(prepared(float_graph(Uneven().eval(), torch.zeros(1, 3, 24, 24))))


class SmoothImages:
    """Images whose neighbouring pixels are alike, as in photographs; `asked` lists which were read."""

    def __init__(self, count: int, seed: int = 0) -> None:
        coarse = torch.rand((count, 3, 4, 4), generator=torch.Generator().manual_seed(seed)) * 2 - 1
        self.pixels = nn.functional.interpolate(coarse, size=(24, 24), mode="bilinear").numpy()
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, indices: Sequence[int]) -> npt.NDArray[np.float32]:
        self.asked.extend(indices)
        found: npt.NDArray[np.float32] = self.pixels[list(indices)]
        return found
