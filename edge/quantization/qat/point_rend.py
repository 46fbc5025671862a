"""A segmenter with a point head under quantization-aware training: its network and the head, one file each.

The head reads the network's integers as they are (`edge.models.point_head.on_codes`), so that what it is trained on are
the integers that a device gathers.
"""

import torch
from torch import Tensor, nn

from edge.artifact.scheme import Scheme
from edge.errors import UnsupportedError
from edge.graph.graph import Graph
from edge.models.point_head import PointHead, on_codes
from edge.quantization.qat.freeze import freeze
from edge.quantization.qat.prepare import QatOptions, QuantizedModel, prepare_qat
from edge.vision.point_rend import CODES

CODE_RANGE = (-1.0, 1.0 - 1.0 / CODES)
"""Of the head's input: an int8 tensor of scale 1 / CODES and zero point 0."""


class QuantizedPointRend(nn.Module):
    """A prepared network of two outputs, coarse logits and fine features, and the prepared head on their integers."""

    def __init__(self, network: QuantizedModel, point_head: QuantizedModel, *, points: int, steps: int) -> None:
        super().__init__()
        self.network = network
        self.point_head = point_head
        self.points = points
        self.steps = steps

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map float images (n, 3, h, w) to coarse logits and fine features, on their grids."""
        coarse, fine = self.network(x)
        return coarse, fine

    def at_points(self, features: Tensor, coarse: Tensor) -> Tensor:
        """Map fine features and coarse logits at points, (n, channels, points, 1) each, to logits there."""
        (coarse_scale, coarse_zero), (scale, zero) = self.parameters_of_outputs()
        codes = torch.cat([features / scale + zero, coarse / coarse_scale + coarse_zero], dim=1)
        return self.point_head(codes.clamp(-CODES, CODES - 1) / CODES)  # type: ignore[no-any-return]  # untyped call

    def parameters_of_outputs(self) -> tuple[tuple[float, int], ...]:
        """Scale and zero point of the coarse logits and of the fine features, as they stand."""
        return tuple(self.network.quantizer(name).parameters_now() for name in self.network.graph.outputs)

    def start_head(self, head: PointHead) -> None:
        """Take a float head's weights, brought to the integers of the outputs' ranges as they stand."""
        coarse, fine = self.parameters_of_outputs()
        trained = on_codes(head, fine, coarse)
        fresh = prepared_head(trained, self.network.scheme, self.network.options)
        self.point_head.load_state_dict(fresh.state_dict())  # into what is there: its memory format decides sums


def frozen_network(prepared: nn.Module) -> Graph:
    """The integer graph of a network, as `freeze` makes it; of one with a point head both outputs, without the head."""
    return freeze(prepared.network if isinstance(prepared, QuantizedPointRend) else prepared)


def prepare_point_rend(
    model: nn.Module, head: PointHead, example: Tensor, scheme: Scheme, options: QatOptions
) -> QuantizedPointRend:
    """Prepare a network with a point head; see `prepare_qat`. The head's weights are placed by `start_head`."""
    if scheme.activation_bits != 8:
        raise UnsupportedError(f"a point head reads 8-bit integers; activation_bits is {scheme.activation_bits}")
    network = prepare_qat(model, example, scheme, options)
    return QuantizedPointRend(network, prepared_head(head, scheme, options), points=head.points, steps=head.steps)


def prepared_head(head: PointHead, scheme: Scheme, options: QatOptions) -> QuantizedModel:
    """A head on integers, prepared for its number of points."""
    given = QatOptions(ranges=options.ranges, momentum=options.momentum, input_range=CODE_RANGE)
    example = torch.zeros(head.input_shape)
    return prepare_qat(head.eval(), example, scheme, given)
