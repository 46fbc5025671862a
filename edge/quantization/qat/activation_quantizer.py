"""The quantizer of one group of tied activations in a module under quantization-aware training."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.artifact.scheme import INT8_MIN, INT8_SCHEME, NARROWEST_RANGE, Scheme, activation_parameters
from edge.errors import EdgeError
from edge.quantization.qat.fake_quant import FakeQuantize, LearnedFakeQuantize, round_to_grid
from edge.quantization.qat.ranks import extremes_over_ranks
from edge.quantization.ties import RangeGroup

GATE_START = 2.0
"""Where the range of a gate's input starts that was 0 on all images: its steps are then as fine as the gate's own."""


class ActivationQuantizer(nn.Module):
    """Observes, learns or keeps one range, and rounds activations to its grid.

    `low` and `high` are the range and the only truth; `scale` and `zero_point` are buffers that follow from them by
    `activation_parameters` at every use.

    Attributes:
        low, high: float32 0-d parameters; trained while `learning`. Low stays 0 where no member can be negative.
        scale, zero_point: float32 and int64 0-d buffers, the parameters that `freeze` exports.
        source_low, source_high: float32 (sources,) moving averages of each source's minimum and maximum.
        batches: int64 (sources,) batches observed.
        learning: the range receives gradients.
        floor: the scale is not smaller, however narrow the range (see `QuantizedModel.hold_limits`); no state.
    """

    low: nn.Parameter
    high: nn.Parameter
    scale: Tensor
    zero_point: Tensor
    source_low: Tensor
    source_high: Tensor
    batches: Tensor

    def __init__(
        self,
        group: RangeGroup,
        *,
        momentum: float,
        fixed_range: tuple[float, float] | None = None,
        scheme: Scheme = INT8_SCHEME,
    ) -> None:
        super().__init__()
        self.group = group
        self.scheme = scheme
        self.momentum = momentum
        self.constant = fixed_range is not None or group.fixed is not None
        self.learning = False
        self.floor = 0.0
        low, high = fixed_range if fixed_range is not None else (0.0, 0.0)
        count = len(group.sources)
        self.low = nn.Parameter(torch.tensor(low), requires_grad=False)
        self.high = nn.Parameter(torch.tensor(high), requires_grad=False)
        self.register_buffer("scale", torch.tensor(1.0))
        self.register_buffer("zero_point", torch.tensor(0))
        self.register_buffer("source_low", torch.zeros(count))
        self.register_buffer("source_high", torch.zeros(count))
        self.register_buffer("batches", torch.zeros(count, dtype=torch.int64))
        self._last: tuple[float, int] | None = None

    def extra_repr(self) -> str:
        """The group's tensors."""
        return ", ".join(self.group.tensors)

    def parameters_now(self) -> tuple[float, int]:
        """Scale (a float32 value) and zero point of the range as it stands; refreshes the buffers.

        Raises:
            EdgeError: nothing was observed yet, or the range is not finite.
        """
        low, high = float(self.low.item()), float(self.high.item())
        if self.group.fixed is not None:
            scale, zero_point = self.group.fixed
        else:
            if low == high == 0.0 and not self.constant and not bool((self.batches > 0).any()):
                raise EdgeError(
                    f"'{self.group.name}' has no range yet; run batches in phase CALIBRATE in training mode (.train()) "
                    "first"
                )
            scale32, zero_point = activation_parameters(*self._bounded(low, high), self.scheme)
            scale = max(float(scale32), self.floor)
        if self._last != (scale, zero_point) or float(self.scale) != scale or int(self.zero_point) != zero_point:
            self.scale.fill_(scale)
            self.zero_point.fill_(zero_point)
            self._last = (scale, zero_point)
        return scale, zero_point

    def _bounded(self, low: float, high: float) -> tuple[float, float]:
        """The range within what the group allows; a learned range that left it is set back."""
        if not (low == low and high == high):
            raise EdgeError(f"the range of '{self.group.name}' is not a number; training diverged")
        bounded_low = 0.0 if self.group.nonnegative else min(low, 0.0)
        bounded_high = max(high, 0.0)
        if self.group.ceiling is not None:
            bounded_high = min(bounded_high, self.group.ceiling)
        if bounded_high - bounded_low < NARROWEST_RANGE and (self.learning or self.group.opens):
            # zero in effect, as `activation_parameters` has it; a gate that is 0 at the start must not be clipped there
            opens = self.group.opens and not self.group.nonnegative
            bounded_low, bounded_high = (-GATE_START, GATE_START) if opens else (0.0, 1.0)
        if self.learning:
            if bounded_low != low:
                self.low.data.fill_(bounded_low)
            if bounded_high != high:
                self.high.data.fill_(bounded_high)
        return bounded_low, bounded_high

    def hold(self, floor: float) -> bool:
        """Keep the scale at `floor` (a float32 value) or above; whether that widens it. The zero point stays."""
        if self.group.fixed is not None or self.parameters_now()[0] >= floor:
            return False
        self.floor = floor
        return True

    def set_learning(self, learning: bool) -> None:
        """Let the range receive gradients, or keep it."""
        self.learning = learning and not self.constant
        self.high.requires_grad_(self.learning)
        self.low.requires_grad_(self.learning and not self.group.nonnegative)

    @torch.no_grad()
    def observe(self, x: Tensor, source: str, activation: str) -> None:
        """Take in one batch of a source: moving averages of its minimum and maximum, union over the sources.

        The first batches weigh alike (1 / count), later ones by the momentum. Under torch.distributed the batches of
        all ranks are one.

        Raises:
            EdgeError: a value is not finite.
        """
        if self.constant or source not in self.group.sources:
            return
        index = self.group.sources.index(source)
        low, high = extremes_over_ranks(*torch.aminmax(x.detach()))
        if not (abs(low) < float("inf") and abs(high) < float("inf")):
            raise EdgeError(f"'{source}' holds a value that is not finite ({low} to {high})")
        if activation != "none":
            low, high = max(low, 0.0), max(high, 0.0)
        if activation == "relu6":
            low, high = min(low, 6.0), min(high, 6.0)
        self.batches[index] += 1
        weight = max(1.0 / int(self.batches[index]), self.momentum)
        self.source_low[index] += weight * (low - self.source_low[index])
        self.source_high[index] += weight * (high - self.source_high[index])
        seen = self.batches > 0
        self.low.fill_(float(self.source_low[seen].min()))
        self.high.fill_(float(self.source_high[seen].max()))

    @torch.no_grad()
    def set_range(self, low: float, high: float) -> None:
        """Start from a range estimated elsewhere, as if it had been observed."""
        if self.constant:
            return
        self.low.fill_(low)
        self.high.fill_(high)
        self.source_low.fill_(low)
        self.source_high.fill_(high)
        self.batches.clamp_(min=1)

    def forward(self, x: Tensor, activation: str) -> Tensor:
        """Rectify and round float x to the grid.

        With zero point -128 the grid starts at 0, so rounding rectifies by itself, gradient included.
        """
        scale, zero_point = self.parameters_now()
        limits = self.scheme.activation_limits
        if activation == "relu6" and not (zero_point == INT8_MIN and (127 - zero_point) * scale <= 6.0001):
            x = functional.relu6(x)
        elif activation == "relu" and zero_point != INT8_MIN:
            x = functional.relu(x)
        if not torch.is_grad_enabled():
            return round_to_grid(x, scale, zero_point, limits)
        if self.learning:
            return LearnedFakeQuantize.apply(x, self.low, self.high, scale, zero_point)  # type: ignore[no-any-return,no-untyped-call]  # torch's stub
        return FakeQuantize.apply(x, scale, zero_point, limits)  # type: ignore[no-any-return,no-untyped-call]  # torch's stub
