"""Steps that choose weights and biases layer by layer: by least squares, or the biases alone."""

from torch import Tensor

from edge.quantization.ptq.adaround import up_or_down
from edge.quantization.ptq.layer_rows import Layer
from edge.quantization.qat.least_squares import mean_error, round_layer

DAMPING = 0.05


def by_least_squares(layer: Layer) -> tuple[Tensor | None, Tensor]:
    """Integers chosen together for the least error of the output, and the bias of the mean error that is left."""
    return round_layer(layer.weight, layer.bias, layer.rows, layer.input_scale, DAMPING, layer.granularity)


def corrected_bias(layer: Layer) -> tuple[Tensor | None, Tensor]:
    """The bias with which the output has the float network's mean (Nagel et al., arXiv 1906.04721, section 4.2)."""
    return None, mean_error(layer.rounded, layer.rows)


def by_adaround(layer: Layer) -> tuple[Tensor | None, Tensor]:
    """Every weight rounded up or down for the least error of the output, and the bias of the mean error left."""
    return round_layer(layer.weight, layer.bias, layer.rows, layer.input_scale, DAMPING, layer.granularity, up_or_down)
