"""An input or output of a model file, as a runtime shows it and a manifest tells it, and the numbers it stands for."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Scores = Literal["exclusive", "independent"]
"""Of logits and probabilities: one class of all holds, or each is a question of its own."""


@dataclass(frozen=True, kw_only=True)
class Port:
    """One input or output of a model.

    Attributes:
        dtype: numpy dtype name.
        scale, zero_point: per-tensor quantization, None for a float or plain integer tensor.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None

    @property
    def plain(self) -> dict[str, Any]:
        """As it stands in a message: its fields, the shape as a list."""
        return {**asdict(self), "shape": list(self.shape)}


@dataclass(frozen=True, kw_only=True)
class DescribedPort(Port):
    """A port, and what a manifest says of its values beyond what a runtime shows.

    Attributes:
        layout: the order of its axes: `nhwc` or `nchw` of images; `nc`, `nhwc`, `nchw`, `nhw` or `hw` of outputs.
        meaning: `image`, `logits`, `probabilities` or `class_map`.
        scores: `exclusive` or `independent`, of logits and probabilities.
    """

    layout: str
    meaning: str
    scores: str | None = None


def port_of(plain: Mapping[str, Any]) -> Port:
    """The port that a message of ours tells, whatever else stands beside its fields."""
    fields = {name: plain[name] for name in Port.__dataclass_fields__}
    return Port(**{**fields, "shape": tuple(fields["shape"])})


FEW = 4096


@lru_cache(maxsize=32)
def _real_values(kind: str, scale: float, zero_point: int | None) -> npt.NDArray[np.float32]:
    """Real values of all 256 integers of an 8-bit type, by their bits."""
    every = np.arange(256, dtype=np.uint8).view(kind).astype(np.int64)  # which is no look-up
    return dequantize(every, scale, zero_point)


def dequantize(
    values: npt.NDArray[np.generic],
    scale: float | npt.NDArray[np.float32] | None,
    zero_point: int | npt.NDArray[np.int64] | None,
) -> npt.NDArray[np.float32]:
    """Real values of an integer tensor, (q - zero_point) * scale in float32, as DequantizeLinear computes it.

    Args:
        scale, zero_point: of the whole tensor, or shaped to broadcast against it; without a scale the values
            themselves are real.
    """
    if scale is None:
        return values.astype(np.float32)
    plain = isinstance(scale, float) and not isinstance(zero_point, np.ndarray)
    if plain and values.dtype.itemsize == 1 and values.size <= FEW:
        # One look-up instead of four passes: what a classifier's scores cost, frame by frame.
        return _real_values(values.dtype.char, scale, zero_point).take(values.view(np.uint8))  # type: ignore[arg-type]
    centred = values.astype(np.int64) - (0 if zero_point is None else zero_point)
    return np.asarray(centred.astype(np.float32) * np.asarray(scale, np.float32), dtype=np.float32)


def in_form_of(values: npt.NDArray[Any], before: DescribedPort, after: DescribedPort) -> npt.NDArray[Any]:
    """One file's output in another file's layout, dtype and zero point: the same real values."""
    if before.layout == "nchw" and after.layout == "nhwc":
        values = values.transpose(0, 2, 3, 1)
    if before.zero_point is not None and after.zero_point is not None:
        values = values.astype(np.int32) + (after.zero_point - before.zero_point)
    return np.ascontiguousarray(values.astype(after.dtype))
