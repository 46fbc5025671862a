"""The limits within which LiteRT's integer kernels run and their formulas are established: one table for everybody.

The writer refuses an operator outside it before a file is written, the simulation does not execute one, and ranges
found by calibration or training keep inside. Every bound was found by running LiteRT 2.3 (x86-64, its default kernels)
at growing ratios of scales: `python -m tests.benchmarks.kernel_limits` does it again.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from edge.graph.graph import Operator, Tensor
from edge.graph.ops.halfway_products import least_alike

LAYERS = ("Conv", "ConvTranspose", "Gemm")
BYTES = ("int8", "uint8")
CLAMPS = ("Relu", "Relu6", "Clip")


@dataclass(frozen=True, kw_only=True)
class Scales:
    """What the limits of one operator depend on.

    Attributes:
        inputs: the scale of every quantized operand but a layer's weight and bias and PRelu's slope.
        weights: a layer's, per output channel; one of 1 elsewhere.
        output: of the output, or 1 where it is not quantized.
        slope: LeakyRelu's alpha, else 1.
    """

    inputs: Sequence[float]
    weights: Sequence[float] = (1.0,)
    output: float = 1.0
    slope: float = 1.0


# What is limited, by the words that a person reads. All but the last two fall as the output's scale grows.
QUANTITIES: Mapping[str, Callable[[Scales], Iterable[float]]] = MappingProxyType(
    {
        "input scale * weight scale / output scale": lambda s: [s.inputs[0] * w / s.output for w in s.weights],
        "the product of the input scales / output scale": lambda s: [s.inputs[0] * s.inputs[-1] / s.output],
        "input scale / output scale": lambda s: [scale / s.output for scale in s.inputs],
        "input scale * slope / output scale": lambda s: [s.inputs[0] * abs(s.slope) / s.output],
        "root of the input scale / output scale": lambda s: [s.inputs[0] ** 0.5 / s.output],
        "1 / root of the input scale / output scale": lambda s: [s.inputs[0] ** -0.5 / s.output],
        "input scale": lambda s: s.inputs,
        "smaller / larger input scale": lambda s: [min(s.inputs) / max(s.inputs)],
    }
)
MULTIPLIER, PRODUCT, RATIO, SLOPE, ROOT, INVERSE_ROOT, INPUT, BALANCE = QUANTITIES
OF_THE_OUTPUT = (MULTIPLIER, PRODUCT, RATIO, SLOPE, ROOT, INVERSE_ROOT)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """low <= quantity < high, for some kinds over some types; and what LiteRT does elsewhere.

    Attributes:
        quantity: a key of QUANTITIES.
        below, above: what happens outside, as observed.
    """

    kinds: tuple[str, ...]
    quantity: str
    low: float
    high: float
    below: str = "its kernel's steps are not known there"
    above: str = "its kernel overflows"
    dtypes: tuple[str, ...] = BYTES


XNNPACK_REFUSES = "XNNPACK refuses the whole file"
ROUNDS = "its kernel's roundings are not known there"
LIMITS: tuple[Limit, ...] = (
    Limit(kinds=LAYERS, quantity=MULTIPLIER, low=2.0**-100, high=2.0**8, above=XNNPACK_REFUSES),
    Limit(kinds=("MatMul", "Mul"), quantity=PRODUCT, low=2.0**-60, high=2.0**8),
    Limit(kinds=("Add", "Sub"), quantity=RATIO, low=2.0**-60, high=2.0**8),
    Limit(kinds=("Add", "Sub"), quantity=BALANCE, low=2.0**-20, high=math.inf),
    Limit(kinds=("Mean", "ReduceSum"), quantity=RATIO, low=2.0**-60, high=2.0**20),
    Limit(kinds=("Quantize", "Abs", *CLAMPS), quantity=RATIO, low=2.0**-60, high=2.0**20),
    Limit(kinds=("PRelu",), quantity=RATIO, low=2.0**-60, high=2.0**8),
    Limit(kinds=("LeakyRelu",), quantity=RATIO, low=2.0**-8, high=2.0**7, above=ROUNDS),
    Limit(kinds=("LeakyRelu",), quantity=SLOPE, low=2.0**-8, high=2.0**7, above=ROUNDS),
    Limit(kinds=("HardSwish",), quantity=RATIO, low=2.0**-8, high=2.0**7, above="LiteRT refuses the file"),
    Limit(kinds=("HardSwish",), quantity=INPUT, low=2.0**-16, high=2.0**8),
    Limit(kinds=("Elu",), quantity=RATIO, low=2.0**-60, high=2.0**20),
    Limit(kinds=("Gelu",), quantity=RATIO, low=2.0**-60, high=2.0**6, above=ROUNDS),
    Limit(kinds=("Gelu",), quantity=INPUT, low=2.0**-12, high=2.0**8),
    Limit(kinds=("Exp", "Log", "LogSoftmax"), quantity=INPUT, low=2.0**-60, high=2.0**8, above=ROUNDS),
    Limit(kinds=("Sqrt",), quantity=ROOT, low=2.0**-60, high=2.0**20),
    Limit(kinds=("Rsqrt",), quantity=INVERSE_ROOT, low=2.0**-6, high=2.0**20),
    Limit(kinds=("Sigmoid", "Tanh", "Softmax"), quantity=INPUT, low=2.0**-60, high=2.0**20, above=ROUNDS),
    Limit(kinds=("Conv", "Gemm"), quantity=MULTIPLIER, low=2.0**-40, high=2.0**8, dtypes=("int16",)),
    Limit(kinds=("Mul",), quantity=PRODUCT, low=2.0**-60, high=1.0, dtypes=("int16",)),
    Limit(kinds=("Add", "Sub"), quantity=RATIO, low=2.0**-40, high=2.0**8, dtypes=("int16",)),
    Limit(kinds=("Add", "Sub"), quantity=BALANCE, low=2.0**-20, high=math.inf, dtypes=("int16",)),
    Limit(kinds=("Mean",), quantity=RATIO, low=2.0**-30, high=2.0**8, dtypes=("int16",)),
    Limit(kinds=("Quantize", *CLAMPS), quantity=RATIO, low=2.0**-60, high=2.0**8, dtypes=("int16",)),
    Limit(kinds=("Sigmoid", "Tanh", "Softmax"), quantity=INPUT, low=2.0**-40, high=2.0**2, dtypes=("int16",)),
)
# Scales of any activation: XNNPACK refuses a file with a smaller one, and float32 ends not far beyond.
SMALLEST_SCALE, LARGEST_SCALE = 2.0**-100, 2.0**100
SIX_OVERFLOWS = 6.0 / 2**31  # kernels count the 6 of a RELU6 in int32 steps of its output
# A floor is this much above the limit itself, so that float32 roundings on the way do not reach it.
MARGIN = 1.0 + 2.0**-16


def limit_fault(operator: Operator, tensors: Mapping[str, Tensor]) -> str:
    """Which limit a quantized operator breaks: the quantity, its value, what happens, what to do; '' for none."""
    scales = _scales(operator, tensors)
    if scales is None:
        return ""
    for scale in (*scales.inputs, scales.output):
        if not SMALLEST_SCALE <= scale < LARGEST_SCALE:
            return f"a scale of {scale:.3g}; kernels compute with {SMALLEST_SCALE:.3g} to {LARGEST_SCALE:.3g}"
    if _ends_at_six(operator) and scales.output <= SIX_OVERFLOWS:
        return (
            f"output scale is {scales.output:.3g}, with a RELU6 it must be above {SIX_OVERFLOWS:.3g}: its kernel "
            f"overflows; quantize '{operator.outputs[0]}' with a wider range"
        )
    for limit in _limits(operator.kind, tensors[operator.inputs[0]].dtype, tensors[operator.outputs[0]].dtype):
        for value in QUANTITIES[limit.quantity](scales):
            if not limit.low <= value < limit.high:
                outside = limit.below if value < limit.low else limit.above
                low = value < limit.low
                if limit.quantity in OF_THE_OUTPUT:
                    advice = f"'{operator.outputs[0]}' with a {'narrower' if low else 'wider'} range"
                else:
                    choose = scales.inputs.index(min(scales.inputs) if low else max(scales.inputs))
                    advice = f"'{operator.inputs[choose]}' with a {'wider' if low else 'narrower'} range"
                return (
                    f"{limit.quantity} is {value:.3g}, outside {limit.low:.3g} to {limit.high:.3g}: {outside}; "
                    f"quantize {advice}"
                )
    return ""


def smallest_output_scale(kind: str, dtype: str, scales: Scales) -> float:
    """The output scale below which an operator leaves the table; 0 where none does.

    Ranges that training or calibration finds keep above it, so that an activation that died makes no file that
    nothing can load.

    Args:
        kind: of the operator; `dtype` of its activations.
        scales: of its operands; `scales.output` is not looked at.
    """
    unit = Scales(inputs=scales.inputs, weights=scales.weights, slope=scales.slope)
    floors = [
        max(QUANTITIES[limit.quantity](unit)) / limit.high * MARGIN
        for limit in _limits(kind, dtype, dtype)
        if limit.quantity in OF_THE_OUTPUT
    ]
    return max(floors, default=0.0)


def operator_floor(operator: Operator, tensors: Mapping[str, Tensor]) -> float:
    """`smallest_output_scale` of an operator of a quantized graph; of an int8 Mul, where its products round alike."""
    scales = _scales(operator, tensors)
    if scales is None:
        return 0.0
    floor = smallest_output_scale(operator.kind, tensors[operator.inputs[0]].dtype, scales)
    if operator.kind == "Mul":
        floor = max(floor, _least_alike(operator, tensors))
    return max(floor, SIX_OVERFLOWS * MARGIN) if _ends_at_six(operator) else floor


def _least_alike(operator: Operator, tensors: Mapping[str, Tensor]) -> float:
    """See `halfway_products`; 0 of other tensors than int8."""
    found = [tensors[name].quantization for name in (*operator.inputs, *operator.outputs)]
    if any(tensors[name].dtype != "int8" for name in operator.inputs) or None in found:
        return 0.0
    *inputs, output = ((float(one.scale[0]), int(one.zero_point[0])) for one in found if one is not None)
    return least_alike(tuple(inputs), output)


def _ends_at_six(operator: Operator) -> bool:
    return operator.kind == "Relu6" or operator.attributes.get("activation", "none") == "relu6"


def _limits(kind: str, *dtypes: str) -> Iterable[Limit]:
    wide = "int16" in dtypes
    return (limit for limit in LIMITS if kind in limit.kinds and ("int16" in limit.dtypes) is wide)


def _scales(operator: Operator, tensors: Mapping[str, Tensor]) -> Scales | None:
    """None where the operator does not compute on integers."""
    layer = operator.kind in LAYERS
    operands = [tensors[name] for name in operator.inputs if name][: 1 if layer or operator.kind == "PRelu" else None]
    inputs = [float(found.scale.max()) for tensor in operands if (found := tensor.quantization) is not None]
    target = tensors[operator.outputs[0]].quantization
    weight = tensors[operator.inputs[1]].quantization if layer else None
    if not inputs or len(operator.outputs) != 1 or (layer and (weight is None or target is None)):
        return None
    return Scales(
        inputs=inputs,
        weights=(1.0,) if weight is None else np.unique(weight.scale.astype(np.float64)).tolist(),
        output=1.0 if target is None else float(target.scale.max()),
        slope=float(operator.attributes["alpha"]) if operator.kind == "LeakyRelu" else 1.0,
    )
