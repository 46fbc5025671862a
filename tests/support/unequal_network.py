"""A classifier with one layer whose channels are so unequal that 8 bits of its output hold one of them alone."""

import torch
from torch import Tensor, nn

from edge.artifact.scheme import WEIGHT_MAX
from edge.graph.graph import Graph
from edge.quantization.ptq.calibrate import prepared
from edge.quantization.qat.freeze import float_graph
from edge.quantization.quantize_graph import with_biases

LAYER = "unequal"
LARGE = 100.0


class Unequal(nn.Module):
    """`unequal` makes one channel a hundred times the others; who reads it weighs that channel by one quantum.

    So weights round as well as anybody's, and what is lost is lost in that one activation.
    """

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.unequal = nn.Conv2d(8, 8, 1)
        self.reader = nn.Conv2d(8, 8, 1)
        self.classifier = nn.Linear(8, 5)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
            self.unequal.weight[0] *= LARGE
            self.reader.weight[:, 0] = self.reader.weight[:, 1:].abs().amax((1, 2, 3)).unsqueeze(1).unsqueeze(1) / (
                WEIGHT_MAX
            )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, 5)."""
        x = nn.functional.relu(self.reader(self.unequal(nn.functional.relu6(self.stem(x)))))
        return self.classifier(x.mean((2, 3)))  # type: ignore[no-any-return]


def unequal_graph() -> Graph:
    """Float, (1, 3, 24, 24), rectifiers fused, a bias in every layer."""
    return with_biases(prepared(float_graph(Unequal().eval(), torch.zeros(1, 3, 24, 24))))
