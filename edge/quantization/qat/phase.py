"""The phases of quantization-aware training: what the forward of a prepared module does, as a value."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class QatPhase:
    """What is on in a phase; `replace` makes one in between.

    Attributes:
        observe: in training mode, ranges follow the data by moving averages.
        fake_quantize: activations, weights and biases are rounded to their grids.
        live_norm: in training mode, batch norm uses the batch's statistics and its running ones move; without it the
            running ones are folded into the weights, as in evaluation.
        learn_ranges: learned ranges receive gradients, where activations are rounded and no longer observed.
    """

    observe: bool = False
    fake_quantize: bool = False
    live_norm: bool = False
    learn_ranges: bool = False


FLOAT = QatPhase()
"""The float network, batch norm folded."""
CALIBRATE = QatPhase(observe=True)
"""A few batches in float, from which the first ranges come."""
TRAIN = QatPhase(fake_quantize=True, live_norm=True, learn_ranges=True)
"""Weights, batch norm and learned ranges move."""
TRAIN_FOLDED = QatPhase(fake_quantize=True, learn_ranges=True)
"""Batch norm stands still, learned ranges still move."""
TRAIN_FROZEN = QatPhase(fake_quantize=True)
"""Weights alone move: the last epochs, and how a trained network is run."""
