"""The one frozen in-memory model: operators, tensors, shapes, quantization.

Readers (`edge.graph.importers.onnx.reader`, `edge.graph.importers.tflite.reader`) and the QAT exporter make it; the
writers, the integer simulation, calibration, inspection and the counts take it. Q/DQ pairs of an ONNX file are
collapsed into `Tensor.quantization`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edge.errors import EdgeError

Layout = Literal["nchw", "nhwc"]
Activation = Literal["none", "relu", "relu6"]
ACTIVATIONS: tuple[Activation, ...] = ("none", "relu", "relu6")

KINDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        # inputs x, weight (O, I / group, kh, kw) in every layout, bias (O,) or ''. pads: (top, left, bottom, right).
        "Conv": frozenset({"strides", "pads", "dilations", "group", "activation"}),
        # As Conv; the weight is (O, I / group, kh, kw) too. pads cut the full result: size = stride * (in - 1) +
        # dilation * (k - 1) + 1 - pads + what the output's shape has more (ONNX's output_padding).
        "ConvTranspose": frozenset({"strides", "pads", "dilations", "group", "activation"}),
        # inputs x (..., I), weight (O, I), bias (O,) or ''.
        "Gemm": frozenset({"activation"}),
        # inputs a (..., m, k), b (..., k, n), leading axes broadcast; either may be constant.
        "MatMul": frozenset(),
        # Two operands of any ranks, broadcast as numpy does.
        "Add": frozenset({"activation"}),
        "Sub": frozenset({"activation"}),
        "Mul": frozenset({"activation"}),
        "Div": frozenset({"activation"}),
        "Min": frozenset(),
        "Max": frozenset(),
        # base, exponent.
        "Pow": frozenset(),
        "AveragePool": frozenset({"kernel", "strides", "pads", "count_include_pad", "activation"}),
        "MaxPool": frozenset({"kernel", "strides", "pads", "activation"}),
        # axes: non-negative, in the layout of the tensor. A global average pool is a Mean over the spatial axes.
        "Mean": frozenset({"axes", "keepdims"}),
        "ReduceSum": frozenset({"axes", "keepdims"}),
        "ReduceMax": frozenset({"axes", "keepdims"}),
        "ReduceMin": frozenset({"axes", "keepdims"}),
        # mode: linear | nearest. coordinates: half_pixel | asymmetric | align_corners.
        "Resize": frozenset({"mode", "coordinates", "size_hw"}),
        "Concat": frozenset({"axis"}),
        # pads: ((before, after), ...) per axis; value: the real number padded with.
        "Pad": frozenset({"pads", "value"}),
        # pads as for Pad, each smaller than its axis; the border value is not repeated.
        "ReflectPad": frozenset({"pads"}),
        "Reshape": frozenset({"shape"}),
        "Transpose": frozenset({"perm"}),
        # begin, end, strides: one int per axis, already clamped to the shape.
        "Slice": frozenset({"begin", "end", "strides"}),
        # inputs data, indices (an integer tensor, constant or not): numpy's take along the axis.
        "Gather": frozenset({"axis"}),
        # channel of the wider map: DCR (by * block + bx) * C + c, CRD c * block * block + by * block + bx.
        "DepthToSpace": frozenset({"block", "mode"}),
        "SpaceToDepth": frozenset({"block"}),
        # repeats: one per axis.
        "Tile": frozenset({"repeats"}),
        # shape: what the input is broadcast to, as numpy does.
        "Expand": frozenset({"shape"}),
        # To the dtype of the output; no parameters on either side.
        "Cast": frozenset(),
        "Softmax": frozenset({"axis"}),
        "LogSoftmax": frozenset({"axis"}),
        "ArgMax": frozenset({"axis", "keepdims"}),
        "Relu": frozenset(),
        "Relu6": frozenset(),
        "Clip": frozenset({"min", "max"}),
        "Sigmoid": frozenset(),
        "Tanh": frozenset(),
        "HardSwish": frozenset(),
        "HardSigmoid": frozenset({"alpha", "beta"}),
        "LeakyRelu": frozenset({"alpha"}),
        # inputs x, slope (constant, broadcast against x as numpy does).
        "PRelu": frozenset(),
        "Elu": frozenset({"alpha"}),
        # approximate: tanh's formula instead of erf's.
        "Gelu": frozenset({"approximate"}),
        "Abs": frozenset(),
        "Neg": frozenset(),
        "Sqrt": frozenset(),
        "Rsqrt": frozenset(),
        "Exp": frozenset(),
        "Log": frozenset(),
        "Floor": frozenset(),
        "Ceil": frozenset(),
        "Round": frozenset(),
        "Sin": frozenset(),
        "Cos": frozenset(),
        # x / sqrt(max(sum of squares along the axis, epsilon)).
        "L2Norm": frozenset({"axis", "epsilon"}),
        # inputs x, gamma (C,), beta (C,), mean (C,), variance (C,).
        "BatchNorm": frozenset({"epsilon"}),
        # Boundaries that were not collapsed: a float input or output of an integer graph, or a change of parameters.
        "Quantize": frozenset(),
        "Dequantize": frozenset(),
    }
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantization:
    """Affine parameters: real = scale * (q - zero_point).

    Attributes:
        scale: float32 (n,), positive and finite; n is 1 (per tensor) or the size of `axis`.
        zero_point: int64 (n,).
        axis: the axis that the parameters run along, or None per tensor. For a Conv or Gemm weight it is 0.
    """

    scale: npt.NDArray[np.float32]
    zero_point: npt.NDArray[np.int64]
    axis: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be a quantization."""
        scale = np.array(self.scale, dtype=np.float32).reshape(-1)
        zero_point = np.array(self.zero_point, dtype=np.int64).reshape(-1)
        if scale.size != zero_point.size or scale.size == 0:
            raise EdgeError(f"{scale.size} scales for {zero_point.size} zero points")
        if not np.isfinite(scale).all() or (scale <= 0).any():
            raise EdgeError("a quantization scale is not a positive finite number")
        if self.axis is None and scale.size != 1:
            raise EdgeError(f"{scale.size} scales without an axis")
        scale.setflags(write=False)
        zero_point.setflags(write=False)
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "zero_point", zero_point)

    def limits(self, dtype: str) -> tuple[float, float]:
        """The smallest and largest real number that integers of this type stand for, over all channels."""
        ends, scale, zero_point = np.iinfo(dtype), self.scale.astype(np.float64), self.zero_point.astype(np.float64)
        low, high = (ends.min - zero_point) * scale, (ends.max - zero_point) * scale
        return float(low.min()), float(high.max())

    def same_as(self, other: "Quantization | None") -> bool:
        """Tell whether scales are bit-identical and zero points and axis are equal."""
        return (
            other is not None
            and self.axis == other.axis
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )


def per_tensor(scale: float | np.floating[Any], zero_point: int) -> Quantization:
    """Make per-tensor parameters; the scale is rounded to float32."""
    return Quantization(scale=np.array([scale], np.float32), zero_point=np.array([zero_point], np.int64))


# Types that a TFLite file may have and numpy has not.
BITS_BESIDE_NUMPY: Mapping[str, int] = MappingProxyType(
    {"int2": 2, "int4": 4, "uint4": 4, "float8_e4m3fn": 8, "float8_e5m2": 8, "bfloat16": 16}
    | dict.fromkeys(("string", "resource", "variant"), 0)
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Tensor:
    """A named tensor: an activation (`data` is None) or a constant.

    Attributes:
        shape: every size known and non-negative, in the layout of the graph (weights: see KINDS).
        dtype: a numpy dtype name: float32, float16, int8, uint8, int16, int32, int64, bool; or a file's own name of a
            type that numpy lacks (`int4`, `string`), whose values are never read.
        data: the constant's values, read-only, of that shape and dtype.
        quantization: its parameters when `dtype` is an integer type standing for real numbers.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    data: npt.NDArray[Any] | None = None
    quantization: Quantization | None = None

    def __post_init__(self) -> None:
        """Refuse a constant whose array is not of the stated shape and dtype."""
        if self.data is not None:
            if self.data.shape != self.shape or self.data.dtype.name != self.dtype:
                raise EdgeError(
                    f"tensor '{self.name}': array {self.data.dtype.name} {self.data.shape} "
                    f"for a tensor {self.dtype} {self.shape}"
                )
            view = self.data.view()
            view.setflags(write=False)
            object.__setattr__(self, "data", view)

    @property
    def size_bytes(self) -> int:
        """Of its values, without padding; 0 where only the runtime knows (strings, resources)."""
        bits = BITS_BESIDE_NUMPY.get(self.dtype)
        return -(-prod(self.shape) * (8 * np.dtype(self.dtype).itemsize if bits is None else bits) // 8)


@dataclass(frozen=True, kw_only=True, eq=False)
class Operator:
    """One operator.

    Attributes:
        kind: a key of KINDS, or the source file's own name for an operator that has no canonical kind.
        name: unique in the graph; node name of the source where it has one.
        inputs: tensor names; '' where an optional input is absent.
        outputs: tensor names.
        attributes: exactly those of KINDS[kind]; sizes and axes as int tuples, the activation as a string.
        source: what the file calls it (`CONV_2D`, `Conv`, `QLinearConv`), for messages.
        reason: why a reader of a quantized file left it in float, where that is known; for messages.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        """Refuse a canonical kind whose attributes are not exactly the canonical ones."""
        object.__setattr__(self, "attributes", MappingProxyType(dict(self.attributes)))
        expected = KINDS.get(self.kind)
        if expected is not None and set(self.attributes) != expected:
            difference = ", ".join(sorted(expected.symmetric_difference(self.attributes)))
            raise EdgeError(f"operator '{self.name}' ({self.kind}): missing or unknown attributes: {difference}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """Operators in topological order over named tensors.

    Attributes:
        layout: axis order of 4-D activations. Weights of Conv and Gemm are (O, I, ...) in both.
        inputs, outputs: tensor names, in the order of the model's signature. An output may be a constant or an input.
        notes: what reading the file changed that its user should know, one sentence each.
    """

    name: str
    layout: Layout
    operators: tuple[Operator, ...]
    tensors: Mapping[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse unknown tensors, operators out of order, and a tensor that two operators produce."""
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))
        ready = set(self.inputs) | {name for name, tensor in self.tensors.items() if tensor.data is not None}
        for operator in self.operators:
            for name in operator.inputs:
                if name and name not in ready:
                    raise EdgeError(f"operator '{operator.name}' reads '{name}', which nothing before it makes")
            for name in operator.outputs:
                if name in ready or name not in self.tensors:
                    raise EdgeError(f"operator '{operator.name}' writes '{name}', which is made twice or not declared")
                ready.add(name)
        for name in (*self.inputs, *self.outputs):
            if name not in self.tensors or name not in ready:
                raise EdgeError(f"graph '{self.name}': input or output '{name}' is not a tensor of it")

    def __deepcopy__(self, memo: dict[int, Any]) -> "Graph":
        """A graph is immutable, so its copy is itself; a module that holds one can be deep-copied."""
        return self

    def producer(self, tensor: str) -> Operator | None:
        """The operator that writes a tensor; None for inputs and constants."""
        return next((operator for operator in self.operators if tensor in operator.outputs), None)

    def consumers(self, tensor: str) -> tuple[Operator, ...]:
        """The operators that read a tensor, in order."""
        return tuple(operator for operator in self.operators if tensor in operator.inputs)

    def constant(self, tensor: str) -> npt.NDArray[Any]:
        """The values of a constant. Refuses (EdgeError) a tensor that is not one."""
        data = self.tensors[tensor].data
        if data is None:
            raise EdgeError(f"tensor '{tensor}' of graph '{self.name}' is not a constant")
        return data

    def with_tensors(self, tensors: Iterable[Tensor]) -> "Graph":
        """The same graph with some tensors replaced by name."""
        return replace(self, tensors={**self.tensors, **{tensor.name: tensor for tensor in tensors}})


def channel_axis(layout: Layout, rank: int) -> int:
    """The channel axis of an activation: 1 in NCHW, the last one in NHWC (and for rank 2 in both)."""
    return 1 if layout == "nchw" and rank > 1 else rank - 1
