"""Multiply-add and parameter rules: shapes in, int out.

The convention is the one that reproduces the published MobileNet grids: convolutions and fully connected layers
count, one multiply plus one add is one; a bias, an activation, a pool, an addition of two maps and a resize count
nothing. An operator that has no rule here is never counted as zero: `multiply_adds` says None and the caller names it.

Shapes are those of `edge.graph.graph.KINDS`: weights are (out, in / group, kh, kw) or (out, in) in every layout, so
that the rules do not depend on the axis order of the activations.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a network costs, as the papers count it.

    Attributes:
        parameters: trained values: weights, biases, and the scale and shift of every batch norm.
        multiply_adds: for one image.
        unruled: `TYPE (name)` of every layer that has no rule; what it multiplies is not among the multiply-adds.
    """

    parameters: int
    multiply_adds: int
    unruled: tuple[str, ...] = ()


def conv_multiply_adds(weight_shape: Shape, output_shape: Shape) -> int:
    """Multiply-adds of a convolution, depthwise and grouped ones included.

    Args:
        weight_shape: (out, in / group, kh, kw).
        output_shape: all sizes of the output, batch included, in any axis order.
    """
    return prod(output_shape) * prod(weight_shape[1:])


def linear_multiply_adds(weight_shape: Shape, output_shape: Shape) -> int:
    """Multiply-adds of a fully connected layer: weight (out, in), output (rows, out)."""
    return prod(output_shape) * weight_shape[1]


def parameters(shapes: Sequence[Shape]) -> int:
    """The number of values in tensors of these shapes."""
    return sum(prod(shape) for shape in shapes)


def _conv(inputs: Sequence[Shape], output: Shape, group: int) -> int:
    return conv_multiply_adds(inputs[1], output)


def _conv_transpose(inputs: Sequence[Shape], output: Shape, group: int) -> int:
    """Every place of the input meets every weight once: weight (out, in / group, kh, kw)."""
    return prod(inputs[0]) // (inputs[1][1] * group) * prod(inputs[1])


def _linear(inputs: Sequence[Shape], output: Shape, group: int) -> int:
    return linear_multiply_adds(inputs[1], output)


def _matmul(inputs: Sequence[Shape], output: Shape, group: int) -> int:
    return prod(output) * inputs[0][-1]


def _nothing(inputs: Sequence[Shape], output: Shape, group: int) -> int:
    return 0


RULES: Mapping[str, Callable[[Sequence[Shape], Shape, int], int]] = MappingProxyType(
    {
        "Conv": _conv,
        "Gemm": _linear,
        "ConvTranspose": _conv_transpose,
        "MatMul": _matmul,
        "Add": _nothing,
        "Sub": _nothing,
        "Mul": _nothing,
        "AveragePool": _nothing,
        "MaxPool": _nothing,
        "Mean": _nothing,
        "Resize": _nothing,
        "Concat": _nothing,
        "Pad": _nothing,
        "Reshape": _nothing,
        "Transpose": _nothing,
        "Slice": _nothing,
        "Softmax": _nothing,
        "ArgMax": _nothing,
        "Relu": _nothing,
        "Relu6": _nothing,
        "Clip": _nothing,
        "Sigmoid": _nothing,
        "Tanh": _nothing,
        "HardSwish": _nothing,
        "HardSigmoid": _nothing,
        "BatchNorm": _nothing,
        **dict.fromkeys(
            [
                "Div",
                "Min",
                "Max",
                "Pow",
                "ReduceSum",
                "ReduceMax",
                "ReduceMin",
                "ReflectPad",
                "Gather",
                "DepthToSpace",
                "SpaceToDepth",
                "Tile",
                "Expand",
                "Cast",
                "LogSoftmax",
                "LeakyRelu",
                "PRelu",
                "Elu",
                "Gelu",
                "Abs",
                "Neg",
                "Sqrt",
                "Rsqrt",
                "Exp",
                "Log",
                "Floor",
                "Ceil",
                "Round",
                "Sin",
                "Cos",
                "L2Norm",
            ],
            _nothing,
        ),
        "Quantize": _nothing,
        "Dequantize": _nothing,
    }
)
"""Operator kind -> rule over (input shapes, output shape). One entry for every kind that a graph knows."""


def multiply_adds(kind: str, input_shapes: Sequence[Shape], output_shape: Shape, *, group: int = 1) -> int | None:
    """Multiply-adds of one operator of a graph, or None when there is no rule for its kind.

    Args:
        kind: a key of `edge.graph.graph.KINDS`, or a source file's own name for a foreign operator.
        input_shapes: in the order of the operator's inputs: activation, weight, bias for Conv and Gemm.
        output_shape: of the first output.
        group: of a ConvTranspose; the shapes of the others say it.
    """
    rule = RULES.get(kind)
    return None if rule is None else rule(input_shapes, output_shape, group)
