"""TFLite operator -> kind and attributes of the Graph: one small function per operator, one table of them.

A function returns None when the file uses the operator in a way that the kind cannot say (a fused TANH, a computed
weight, a shrinking slice): the operator then keeps its own name as kind.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.graph.padding import same_pads
from edge.graph.tflite_file import FileOperator, FileTensor
from edge.graph.tflite_schema import FUSED_ACTIVATIONS, names_of, schema


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A canonical operator.

    Attributes:
        inputs: positions among the file operator's inputs that stay inputs; the others became attributes.
        weight: how input 1 is stored: `ohwi`, `depthwise` (1, h, w, C) or `` (as it is).
    """

    kind: str
    attributes: Mapping[str, Any]
    inputs: tuple[int, ...] = (0,)
    weight: str = ""


class Site:
    """One operator of the file with its tensors at hand."""

    def __init__(self, operator: FileOperator, tensors: Sequence[FileTensor]) -> None:
        self.operator = operator
        self.options = operator.options
        self.inputs = [tensors[index] if index >= 0 else None for index in operator.inputs]
        self.output = tensors[operator.outputs[0]]

    @property
    def x(self) -> FileTensor:
        """The first input. Refuses (ValueError) an operator without one."""
        return self.input(0)

    def input(self, position: int) -> FileTensor:
        """An input that must be there. Refuses (ValueError) an operator without it."""
        tensor = self.inputs[position] if position < len(self.inputs) else None
        if tensor is None:
            raise ValueError(f"{self.operator.code} has no input {position}")
        return tensor

    def integers(self, position: int) -> tuple[int, ...] | None:
        """A constant integer input as ints, or None when it is computed or absent."""
        data: npt.NDArray[Any] | None = self.input(position).data
        if data is None or not np.issubdtype(data.dtype, np.integer):
            return None
        return tuple(int(value) for value in data.reshape(-1))

    def activation(self) -> str | None:
        """The fused activation's canonical name, or None for one that has none (TANH, RELU_N1_TO_1)."""
        number = self.options.FusedActivationFunction() if self.options is not None else 0
        name = names_of(schema().ActivationFunctionType).get(number)
        return next((known for known, spelled in FUSED_ACTIVATIONS.items() if spelled == name), None)

    def pads(self, kernel: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int] = (1, 1)) -> Any:
        """Explicit pads of a window over the first input."""
        if min(*kernel, *strides, *dilations) < 1:
            raise ValueError(f"{self.operator.code} with window {kernel}, strides {strides}, dilations {dilations}")
        if self.options.Padding() == schema().Padding.VALID:
            return (0, 0, 0, 0)
        return same_pads(self.x.shape[1:3], kernel, strides, dilations)


def read_operator(operator: FileOperator, tensors: Sequence[FileTensor]) -> Reading | None:
    """The canonical form of an operator, or None when it has none. Refuses (ValueError) what cannot be."""
    reader = READERS.get(operator.code)
    if reader is None or not operator.outputs or not operator.inputs:
        return None
    site = Site(operator, tensors)
    return reader(site)


def _conv(site: Site) -> Reading | None:
    weight, activation = site.input(1), site.activation()
    if weight.data is None or activation is None or site.options is None:
        return None
    if len(weight.shape) != 4 or len(site.x.shape) != 4 or len(site.output.shape) != 4:
        raise ValueError(f"{site.operator.code} over shapes {site.x.shape} and {weight.shape}")
    depthwise = site.operator.code == "DEPTHWISE_CONV_2D"
    channels, kernel = site.x.shape[3], (weight.shape[1], weight.shape[2])
    per_group = 1 if depthwise else weight.shape[3]
    made = weight.shape[3] if depthwise else weight.shape[0]
    if (depthwise and weight.shape[0] != 1) or per_group < 1 or channels % per_group or made != site.output.shape[3]:
        raise ValueError(f"{site.operator.code}: weights {weight.shape} for {channels} channels")
    group = channels // per_group
    if group < 1 or made % group:
        raise ValueError(f"{site.operator.code}: {made} output channels in {group} groups")
    strides = (site.options.StrideH(), site.options.StrideW())
    dilations = (site.options.DilationHFactor(), site.options.DilationWFactor())
    attributes = {
        "strides": strides,
        "pads": site.pads(kernel, strides, dilations),
        "dilations": dilations,
        "group": group,
        "activation": activation,
    }
    weight_form = "depthwise" if depthwise else "ohwi"
    return Reading(kind="Conv", attributes=attributes, inputs=(0, 1, 2), weight=weight_form)


def _fully_connected(site: Site) -> Reading | None:
    weight, activation = site.input(1), site.activation()
    plain = site.options is None or site.options.WeightsFormat() == 0
    if weight.data is None or activation is None or len(site.x.shape) != 2 or not plain:
        return None
    if len(weight.shape) != 2 or weight.shape[1] != site.x.shape[1]:
        raise ValueError(f"FULLY_CONNECTED: weights {weight.shape} for an input {site.x.shape}")
    return Reading(kind="Gemm", attributes={"activation": activation}, inputs=(0, 1, 2))


def _elementwise(kind: str) -> Callable[[Site], Reading | None]:
    def read(site: Site) -> Reading | None:
        activation = site.activation()
        if activation is None:
            return None
        site.input(1)
        return Reading(kind=kind, attributes={"activation": activation}, inputs=(0, 1))

    return read


def _pool(kind: str) -> Callable[[Site], Reading | None]:
    def read(site: Site) -> Reading | None:
        activation = site.activation()
        if activation is None or site.options is None:
            return None
        if len(site.x.shape) != 4:
            raise ValueError(f"{site.operator.code} over shape {site.x.shape}")
        kernel = (site.options.FilterHeight(), site.options.FilterWidth())
        strides = (site.options.StrideH(), site.options.StrideW())
        attributes = {
            "kernel": kernel,
            "strides": strides,
            "pads": site.pads(kernel, strides),
            "activation": activation,
        }
        if kind == "AveragePool":
            attributes["count_include_pad"] = False
        return Reading(kind=kind, attributes=attributes)

    return read


def _mean(site: Site) -> Reading | None:
    axes = site.integers(1)
    if axes is None or site.options is None:
        return None
    rank = len(site.x.shape)
    attributes = {"axes": tuple(_axis(axis, rank) for axis in axes), "keepdims": bool(site.options.KeepDims())}
    return Reading(kind="Mean", attributes=attributes)


def _resize(mode: str) -> Callable[[Site], Reading | None]:
    def read(site: Site) -> Reading | None:
        size = site.integers(1)
        if size is None or len(size) != 2 or site.options is None or len(site.x.shape) != 4:
            return None
        coordinates = "asymmetric"
        if site.options.HalfPixelCenters():
            coordinates = "half_pixel"
        elif site.options.AlignCorners():
            coordinates = "align_corners"
        return Reading(kind="Resize", attributes={"mode": mode, "coordinates": coordinates, "size_hw": size})

    return read


def _concat(site: Site) -> Reading | None:
    if site.options is None or site.activation() != "none":
        return None
    axis = _axis(site.options.Axis(), len(site.output.shape))
    return Reading(kind="Concat", attributes={"axis": axis}, inputs=tuple(range(len(site.inputs))))


def _pad(site: Site) -> Reading | None:
    pads = site.integers(1)
    if pads is None or len(pads) != 2 * len(site.x.shape):
        return None
    value = 0.0
    if site.operator.code == "PADV2":
        fill = site.input(2)
        if fill.data is None or fill.data.size != 1:
            return None
        value = float(fill.data.reshape(-1)[0])
        if fill.quantization is not None:
            value = float(fill.quantization.scale[0]) * (value - int(fill.quantization.zero_point[0]))
    pairs = tuple((pads[index], pads[index + 1]) for index in range(0, len(pads), 2))
    return Reading(kind="Pad", attributes={"pads": pairs, "value": value})


def _reshape(site: Site) -> Reading:
    return Reading(kind="Reshape", attributes={"shape": site.output.shape})


def _transpose(site: Site) -> Reading | None:
    perm = site.integers(1)
    if perm is None or sorted(perm) != list(range(len(site.x.shape))):
        return None
    return Reading(kind="Transpose", attributes={"perm": perm})


def _slice(site: Site) -> Reading | None:
    begin, rank = site.integers(1), len(site.x.shape)
    if begin is None or len(begin) != rank or len(site.output.shape) != rank:
        return None
    end = tuple(first + size for first, size in zip(begin, site.output.shape, strict=True))
    return Reading(kind="Slice", attributes={"begin": begin, "end": end, "strides": (1,) * rank})


def _strided_slice(site: Site) -> Reading | None:
    given = [site.integers(position) for position in (1, 2, 3)]
    rank, options = len(site.x.shape), site.options
    if options is None or options.EllipsisMask() or options.NewAxisMask() or options.ShrinkAxisMask():
        return None
    if any(values is None or len(values) != rank for values in given) or 0 in (given[2] or ()):
        return None
    begins, ends, strides = (values or () for values in given)
    spans = [
        slice(
            None if options.BeginMask() >> axis & 1 else begins[axis],
            None if options.EndMask() >> axis & 1 else ends[axis],
            strides[axis],
        ).indices(site.x.shape[axis])
        for axis in range(rank)
    ]
    begin, end, stride = (tuple(values) for values in zip(*spans, strict=True))
    return Reading(kind="Slice", attributes={"begin": begin, "end": end, "strides": stride})


def _softmax(site: Site) -> Reading | None:
    if site.options is None or site.options.Beta() != 1.0:
        return None
    return Reading(kind="Softmax", attributes={"axis": len(site.x.shape) - 1})


def _arg_max(site: Site) -> Reading | None:
    axis = site.integers(1)
    if axis is None or len(axis) != 1:
        return None
    return Reading(kind="ArgMax", attributes={"axis": _axis(axis[0], len(site.x.shape)), "keepdims": False})


def _plain(kind: str, **attributes: Any) -> Callable[[Site], Reading | None]:
    def read(site: Site) -> Reading:
        return Reading(kind=kind, attributes=attributes)

    return read


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} of a tensor with {rank} axes")
    return axis % rank


READERS: Mapping[str, Callable[[Site], Reading | None]] = MappingProxyType(
    {
        "CONV_2D": _conv,
        "DEPTHWISE_CONV_2D": _conv,
        "FULLY_CONNECTED": _fully_connected,
        "ADD": _elementwise("Add"),
        "SUB": _elementwise("Sub"),
        "MUL": _elementwise("Mul"),
        "AVERAGE_POOL_2D": _pool("AveragePool"),
        "MAX_POOL_2D": _pool("MaxPool"),
        "MEAN": _mean,
        "RESIZE_BILINEAR": _resize("linear"),
        "RESIZE_NEAREST_NEIGHBOR": _resize("nearest"),
        "CONCATENATION": _concat,
        "PAD": _pad,
        "PADV2": _pad,
        "RESHAPE": _reshape,
        "SQUEEZE": _reshape,
        "EXPAND_DIMS": _reshape,
        "TRANSPOSE": _transpose,
        "SLICE": _slice,
        "STRIDED_SLICE": _strided_slice,
        "SOFTMAX": _softmax,
        "ARG_MAX": _arg_max,
        "RELU": _plain("Relu"),
        "RELU6": _plain("Relu6"),
        "RELU_N1_TO_1": _plain("Clip", min=-1.0, max=1.0),
        "RELU_0_TO_1": _plain("Clip", min=0.0, max=1.0),
        "LOGISTIC": _plain("Sigmoid"),
        "TANH": _plain("Tanh"),
        "HARD_SWISH": _plain("HardSwish"),
        "QUANTIZE": _plain("Quantize"),
        "DEQUANTIZE": _plain("Dequantize"),
    }
)
