"""The scheme: which integers stand for which real numbers. Fake quantization, calibration and export all read it.

All arithmetic is float32, one rounding per step, so that a parameter computed here, in the training module and in a
file written from either has the same bits.
"""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from edge.errors import EdgeError
from edge.strict import Strict

INT8_MIN, INT8_MAX = -128, 127
INT16_MAX = 32767
WEIGHT_MAX = 127
BIAS_LIMIT = 2**30
"""Largest magnitude of an int32 bias; a channel with almost no weight but a bias gets a scale that keeps to it."""
NARROWEST_RANGE = 2.0**-20
"""A tensor whose values span less than this is constantly zero in effect; it is given the range [0, 1]."""
SMALLEST_WEIGHT = 2.0**-30
"""A channel whose largest weight is smaller than this is dead; its scale is this over 127."""

TIED: frozenset[str] = frozenset(
    {
        "AveragePool",
        "MaxPool",
        "Resize",
        "Concat",
        "Reshape",
        "Slice",
        "Pad",
        "ReflectPad",
        "Gather",
        "DepthToSpace",
        "SpaceToDepth",
        "Tile",
        "Expand",
        "Transpose",
        "Relu",
        "Relu6",
        "Clip",
        "Min",
        "Max",
        "ReduceMin",
        "ReduceMax",
    }
)
"""Kinds whose kernels demand one scale and zero point for all inputs and the output (docs/fidelity.md)."""

FIXED: dict[str, tuple[float, int]] = {
    "Softmax": (1 / 256, -128),
    "Sigmoid": (1 / 256, -128),
    "Tanh": (1 / 128, 0),
    "LogSoftmax": (1 / 16, 127),
    "L2Norm": (1 / 128, 0),
}
"""Kinds whose int8 kernels demand this output scale and zero point (TensorFlow Lite 8-bit specification)."""

INT16_FIXED: dict[str, tuple[float, int]] = dict.fromkeys(("Softmax", "Sigmoid", "Tanh"), (1 / 32768, 0))
"""The same for the int16 kernels."""

Float32Array = npt.NDArray[np.float32]
Granularity = Literal["per_channel", "per_tensor"]
"""What a weight's scale belongs to: one of its output channels, or all of it."""


class Scheme(Strict):
    """Bits, symmetry and granularity: what TFLite's int8 kernels run, or its 16x8 kernels (`activation_bits` 16).

    Weights: int8, symmetric, in [-127, 127], one scale per output channel, or one per tensor where a device takes
    nothing else (after training alone). Activations: int8, asymmetric, per tensor, float zero exactly representable;
    or int16, symmetric, in [-32767, 32767]. Bias: int32, scale = input scale * weight scale, zero point 0, no
    clipping. `activation_symmetric` follows from the bits where it is omitted.
    """

    weight_bits: Literal[8] = 8
    weight_granularity: Granularity = "per_channel"
    weight_symmetric: Literal[True] = True
    activation_bits: Literal[8, 16] = 8
    activation_granularity: Literal["per_tensor"] = "per_tensor"
    activation_symmetric: bool = False
    bias_bits: Literal[32] = 32

    @model_validator(mode="before")
    @classmethod
    def _symmetry(cls, data: Any) -> Any:
        if isinstance(data, dict) and "activation_symmetric" not in data:
            return {**data, "activation_symmetric": data.get("activation_bits") == 16}
        return data

    @model_validator(mode="after")
    def _fits(self) -> "Scheme":
        if self.activation_symmetric != (self.activation_bits == 16):
            raise ValueError("activations are asymmetric in 8 bits and symmetric in 16: TFLite has no other kernels")
        return self

    @property
    def activation_dtype(self) -> Literal["int8", "int16"]:
        """The type of the activations."""
        return "int8" if self.activation_bits == 8 else "int16"

    @property
    def activation_limits(self) -> tuple[int, int]:
        """The smallest and largest integer of an activation."""
        return (INT8_MIN, INT8_MAX) if self.activation_bits == 8 else (-INT16_MAX, INT16_MAX)

    @property
    def fixed(self) -> dict[str, tuple[float, int]]:
        """Kinds whose kernels demand an output scale and zero point, and those."""
        return FIXED if self.activation_bits == 8 else INT16_FIXED


INT8_SCHEME = Scheme()


def activation_parameters(low: float, high: float, scheme: Scheme = INT8_SCHEME) -> tuple[np.float32, int]:
    """Scale and zero point of an activation whose values lie in [low, high].

    The range is first extended to hold 0. scale = f32(high - low) / 255; zero_point = rint(-128 - f32(low / scale)),
    half to even: every operation rounds to float32. The real range moves by up to half a quantum, so that 0 is exact.
    In 16 bits: scale = f32(max(-low, high)) / 32767, zero point 0.

    Raises:
        EdgeError: low or high is not finite, or low > high.
    """
    low_f32, high_f32 = np.float32(min(low, 0.0)), np.float32(max(high, 0.0))
    if not (np.isfinite(low_f32) and np.isfinite(high_f32)) or low > high or low != low or high != high:
        raise EdgeError(f"an activation range from {low} to {high} cannot be quantized")
    if high_f32 - low_f32 < np.float32(NARROWEST_RANGE):
        low_f32, high_f32 = np.float32(0.0), np.float32(1.0)
    if scheme.activation_bits == 16:
        return np.float32(max(-low_f32, high_f32) / np.float32(INT16_MAX)), 0
    scale = np.float32((high_f32 - low_f32) / np.float32(INT8_MAX - INT8_MIN))
    zero_point = int(np.rint(np.float32(INT8_MIN) - low_f32 / scale))
    return scale, min(max(zero_point, INT8_MIN), INT8_MAX)


def weight_scales(
    weight: npt.NDArray[Any],
    bias: npt.NDArray[Any] | None = None,
    input_scale: float | np.float32 | None = None,
    granularity: Granularity = "per_channel",
) -> Float32Array:
    """Scale per output channel: the largest magnitude over 127, float32 (O,); per tensor O times the largest of them.

    Two floors, which only a channel with (almost) no weight meets: SMALLEST_WEIGHT / 127, and with a bias the scale
    at which the int32 bias is BIAS_LIMIT.

    Args:
        weight: float (O, ...), finite.
        bias: float (O,), with `input_scale`, the scale of the layer's input.

    Raises:
        EdgeError: a weight or bias is not finite.
    """
    if not np.isfinite(weight).all() or (bias is not None and not np.isfinite(bias).all()):
        raise EdgeError("a weight or bias is not a finite number")
    flat = np.abs(np.asarray(weight, np.float32).reshape(weight.shape[0], -1))
    largest = np.maximum(flat.max(axis=1), np.float32(SMALLEST_WEIGHT))
    scale = largest / np.float32(WEIGHT_MAX)
    if bias is not None and input_scale is not None:
        limit = np.float32(BIAS_LIMIT) * np.float32(input_scale)
        scale = np.maximum(scale, np.abs(np.asarray(bias, np.float32)) / limit)
    if granularity == "per_tensor":
        scale = np.full_like(scale, scale.max())
    return np.asarray(scale, np.float32)


def quantize_weight(weight: npt.NDArray[Any], scale: Float32Array) -> npt.NDArray[np.int8]:
    """int8 weights of the same shape: rint(f32(w / scale)), half to even, clamped to [-127, 127]."""
    column = scale.reshape(-1, *(1,) * (weight.ndim - 1))
    integers = np.clip(np.rint(np.asarray(weight, np.float32) / column), -WEIGHT_MAX, WEIGHT_MAX)
    return np.asarray(integers, np.int8)


def quantize_bias(
    bias: npt.NDArray[Any], input_scale: float | np.float32, scale: Float32Array
) -> npt.NDArray[np.int32]:
    """int32 bias (O,): rint(b / (s_in * s_w)) in float64 from the float32 scales, half to even.

    Raises:
        EdgeError: a value does not fit, which `weight_scales` with the bias prevents.
    """
    grid = np.float64(input_scale) * scale.astype(np.float64)
    integers = np.rint(np.asarray(bias, np.float64) / grid)
    if (np.abs(integers) >= 2**31).any():
        raise EdgeError(f"a bias of {float(np.abs(bias).max()):g} does not fit int32 at its scale")
    return integers.astype(np.int32)


def input_range(values: npt.NDArray[Any], scheme: Scheme = INT8_SCHEME) -> tuple[float, float]:
    """The range for a model input that takes only a few values, such as 256 grey levels after normalization.

    The plain range of x = p / 127.5 - 1 puts every grey level exactly between two integers: each would be off by
    half a quantum. Ranges up to 3 quanta wider are tried, and the one of least squared error wins. In 16 bits the plain
    range does.

    Args:
        values: float, any shape; every value that the input can take, finite.
    """
    levels = np.asarray(values, np.float32).reshape(-1)
    low, high = float(min(levels.min(), 0.0)), float(max(levels.max(), 0.0))
    best, best_error = (low, high), np.inf
    if scheme.activation_bits == 16:
        return best
    for below in (0.0, 0.5, 1.0, 1.5):
        for above in (0.0, 0.5, 1.0, 1.5):
            quantum = (high - low) / (INT8_MAX - INT8_MIN - below - above)
            candidate = (low - below * quantum, high + above * quantum)
            scale, zero_point = activation_parameters(*candidate)
            integers = np.clip(np.rint(levels / scale) + zero_point, INT8_MIN, INT8_MAX)
            error = float(np.square((integers - zero_point) * scale.astype(np.float64) - levels).sum())
            if error < best_error * (1 - 1e-6):
                best, best_error = candidate, error
    return best
