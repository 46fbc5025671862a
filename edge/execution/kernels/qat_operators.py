"""The operators without weights, in torch, NCHW, differentiable: one function per kind."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from edge.errors import UnsupportedError
from edge.execution.kernels.integer_rounding import average_pool, resize
from edge.graph.graph import Operator

Parameters = tuple[float, int] | None
"""Scale and zero point of the operator's tied tensors, or of the output of a kind of `ROUNDS`; None to run in float."""
ROUNDS = frozenset({"Sqrt"})
"""Kinds whose kernels round otherwise than to the nearest integer, which their function mirrors."""
Run = Callable[[Operator, Sequence[Tensor], Parameters], Tensor]


def run_operator(operator: Operator, inputs: Sequence[Tensor], parameters: Parameters) -> Tensor:
    """Run an operator on float tensors whose first axis may be any batch; its activation is left to the quantizer.

    Raises:
        UnsupportedError: a kind without a rule.
    """
    if operator.kind not in OPERATORS:
        raise UnsupportedError(f"{operator.kind} ({operator.name}) has no rule in quantization-aware training")
    return OPERATORS[operator.kind](operator, inputs, parameters)


def rectify(x: Tensor, activation: str) -> Tensor:
    """The rectifier named by a layer's `activation` attribute."""
    if activation == "none":
        return x
    return functional.relu(x) if activation == "relu" else functional.relu6(x)


def _average_pool(operator: Operator, inputs: Sequence[Tensor], parameters: Parameters) -> Tensor:
    a = operator.attributes
    return average_pool(inputs[0], a["kernel"], a["strides"], a["pads"], parameters)


def _max_pool(operator: Operator, inputs: Sequence[Tensor], parameters: Parameters) -> Tensor:
    a = operator.attributes
    top, left, _, _ = a["pads"]
    return functional.max_pool2d(inputs[0], a["kernel"], a["strides"], (top, left))


def _resize(operator: Operator, inputs: Sequence[Tensor], parameters: Parameters) -> Tensor:
    a = operator.attributes
    if a["mode"] == "linear":
        return resize(inputs[0], a["size_hw"], a["coordinates"], parameters)
    mode = "nearest-exact" if a["coordinates"] == "half_pixel" else "nearest"
    return functional.interpolate(inputs[0], size=a["size_hw"], mode=mode)


def _reshape(operator: Operator, inputs: Sequence[Tensor], parameters: Parameters) -> Tensor:
    return inputs[0].reshape(inputs[0].shape[0], *operator.attributes["shape"][1:])


def _slice(operator: Operator, inputs: Sequence[Tensor], parameters: Parameters) -> Tensor:
    a = operator.attributes
    spans = [slice(*span) for span in zip(a["begin"], a["end"], a["strides"], strict=True)]
    return inputs[0][(slice(None), *spans[1:])]


def _pad(operator: Operator, inputs: Sequence[Tensor], parameters: Parameters) -> Tensor:
    sizes = [size for pair in reversed(operator.attributes["pads"]) for size in pair]
    return functional.pad(inputs[0], sizes)


def _reduction(function: Callable[..., Tensor]) -> Run:
    def run(operator: Operator, inputs: Sequence[Tensor], parameters: Parameters) -> Tensor:
        return function(inputs[0], operator.attributes["axes"], keepdim=operator.attributes["keepdims"])

    return run


def _sqrt(operator: Operator, inputs: Sequence[Tensor], parameters: Parameters) -> Tensor:
    """The root; with parameters on the output's grid, rounded down as LiteRT's kernel does.

    The gradient at 0 is infinite. An input on a grid is 0 where the real one was up to half a quantum, so that it is
    taken at the quantum of the output instead, which is where the root of a positive input starts.
    """
    if parameters is None:
        return inputs[0].sqrt()
    scale = parameters[0]
    rooted = inputs[0].clamp(min=0.0).detach().sqrt()
    slope = 0.5 / rooted.clamp(min=scale)
    on_grid = torch.floor(rooted / scale) * scale
    return on_grid + slope * (inputs[0] - inputs[0].detach())


def _l2_norm(operator: Operator, inputs: Sequence[Tensor], parameters: Parameters) -> Tensor:
    """x over its norm along an axis; zeros stay, with the gradient of the identity."""
    x, epsilon = inputs[0], operator.attributes["epsilon"]
    total = x.square().sum(operator.attributes["axis"], keepdim=True)
    return x / torch.where(total > 0, total.clamp(min=epsilon), torch.ones_like(total)).sqrt()


OPERATORS: Mapping[str, Run] = {
    "Add": lambda operator, inputs, parameters: inputs[0] + inputs[1],
    "Sub": lambda operator, inputs, parameters: inputs[0] - inputs[1],
    "Mul": lambda operator, inputs, parameters: inputs[0] * inputs[1],
    "MatMul": lambda operator, inputs, parameters: inputs[0] @ inputs[1],
    "AveragePool": _average_pool,
    "MaxPool": _max_pool,
    "Mean": _reduction(torch.mean),
    "ReduceSum": _reduction(torch.sum),
    "ReduceMax": _reduction(torch.amax),
    "ReduceMin": _reduction(torch.amin),
    "L2Norm": _l2_norm,
    "Sqrt": _sqrt,
    "Resize": _resize,
    "Concat": lambda operator, inputs, parameters: torch.cat(list(inputs), operator.attributes["axis"]),
    "Pad": _pad,
    "Reshape": _reshape,
    "Transpose": lambda operator, inputs, parameters: inputs[0].permute(operator.attributes["perm"]),
    "Slice": _slice,
    "Relu": lambda operator, inputs, parameters: functional.relu(inputs[0]),
    "Relu6": lambda operator, inputs, parameters: functional.relu6(inputs[0]),
    "Sigmoid": lambda operator, inputs, parameters: inputs[0].sigmoid(),
    "Tanh": lambda operator, inputs, parameters: inputs[0].tanh(),
    "Softmax": lambda operator, inputs, parameters: inputs[0].softmax(operator.attributes["axis"]),
    "ArgMax": lambda operator, inputs, parameters: inputs[0].argmax(
        operator.attributes["axis"], keepdim=operator.attributes["keepdims"]
    ),
}
