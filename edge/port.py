"""An input or output of a model file, as a runtime shows it and a manifest tells it, and the numbers it stands for."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


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


def port_of(plain: Mapping[str, Any]) -> Port:
    """The port that a message of ours tells, whatever else stands beside its fields."""
    fields = {name: plain[name] for name in Port.__dataclass_fields__}
    return Port(**{**fields, "shape": tuple(fields["shape"])})


def dequantize(values: npt.NDArray[np.generic], scale: float | None, zero_point: int | None) -> npt.NDArray[np.float32]:
    """Real values of an integer tensor, (q - zero_point) * scale in float32; a float tensor (scale None) as float32."""
    if scale is None:
        return values.astype(np.float32)
    centred = values.astype(np.int32) - np.int32(zero_point or 0)
    return np.asarray(centred.astype(np.float32) * np.float32(scale), dtype=np.float32)
