"""Turn a float graph and the parameters of its activations into the integer graph: integers are made here alone."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edge.artifact.scheme import (
    INT8_SCHEME,
    TIED,
    Granularity,
    Scheme,
    activation_parameters,
    quantize_bias,
    quantize_weight,
    weight_scales,
)
from edge.errors import EdgeError, UnsupportedError
from edge.graph.graph import Graph, Operator, Quantization, Tensor, per_tensor
from edge.quantization.ties import activations

LAYERS = ("Conv", "ConvTranspose", "Gemm")


def quantize_graph(
    graph: Graph, parameters: Mapping[str, tuple[np.float32 | float, int]], scheme: Scheme = INT8_SCHEME
) -> Graph:
    """Quantize a float graph by given scales and zero points.

    Weights become int8 per output channel or tensor, biases int32 (a missing bias becomes zeros), activations and other
    float constants (an operand of Add, say) int8 or int16 per tensor; integer tensors stay.

    Args:
        graph: float32, batch norm folded, either layout.
        parameters: (scale, zero point) of every activation; tied ones equal.

    Raises:
        EdgeError: an activation has no parameters, a weight is not constant, or a weight feeds two layers that would
            need different integers.
    """
    graph = with_biases(graph)
    tensors = dict(graph.tensors)
    for name in activations(graph):
        if name not in parameters:
            raise EdgeError(f"activation '{name}' of '{graph.name}' has no quantization parameters")
        scale, zero_point = parameters[name]
        tensors[name] = replace(
            tensors[name], dtype=scheme.activation_dtype, quantization=per_tensor(scale, zero_point)
        )
    for operator in graph.operators:
        if operator.kind == "BatchNorm":
            raise UnsupportedError(f"BatchNorm ({operator.name}) is not folded; fold it before quantizing")
        if operator.kind in LAYERS:
            _quantize_layer(
                graph, operator, tensors, float(parameters[operator.inputs[0]][0]), scheme.weight_granularity
            )
        else:
            _quantize_operands(graph, operator, tensors, scheme)
    return replace(graph, tensors=tensors)


def with_biases(graph: Graph) -> Graph:
    """The same network with a bias of zeros for every layer without one: every integer kernel takes one.

    Raises:
        EdgeError: another tensor has the name of the new bias.
    """
    tensors = dict(graph.tensors)
    operators = [_with_bias(graph, entry, tensors) if entry.kind in LAYERS else entry for entry in graph.operators]
    return replace(graph, operators=tuple(operators), tensors=tensors)


def _with_bias(graph: Graph, operator: Operator, tensors: dict[str, Tensor]) -> Operator:
    data, weight, *rest = operator.inputs
    if rest and rest[0]:
        return operator
    name = f"{operator.name}.bias"
    if name in graph.tensors:
        raise EdgeError(f"operator '{operator.name}' has no bias, but another tensor is named '{name}'")
    zeros = np.zeros(graph.constant(weight).shape[0], np.float32)
    tensors[name] = Tensor(name=name, shape=zeros.shape, dtype="float32", data=zeros)
    return replace(operator, inputs=(data, weight, name))


def _quantize_layer(
    graph: Graph, operator: Operator, tensors: dict[str, Tensor], input_scale: float, granularity: Granularity
) -> None:
    _, weight_name, bias_name = operator.inputs
    weight = np.asarray(graph.constant(weight_name), np.float32)
    bias_tensor = graph.tensors[bias_name]
    if bias_tensor.data is None:
        raise EdgeError(f"operator '{operator.name}': the bias '{bias_name}' is not a constant")
    bias = np.asarray(bias_tensor.data, np.float32).reshape(-1)
    try:
        scale = weight_scales(weight, bias, input_scale, granularity)
    except EdgeError as error:
        raise EdgeError(f"{operator.kind} '{operator.name}': {error}") from error
    _set(
        tensors,
        operator,
        Tensor(
            name=weight_name,
            shape=weight.shape,
            dtype="int8",
            data=quantize_weight(weight, scale),
            quantization=_symmetric(scale, granularity),
        ),
    )
    bias_scale = np.float32(input_scale) * scale
    _set(
        tensors,
        operator,
        Tensor(
            name=bias_name,
            shape=bias.shape,
            dtype="int32",
            data=quantize_bias(bias, input_scale, scale),
            quantization=_symmetric(bias_scale, granularity),
        ),
    )


def _symmetric(scale: npt.NDArray[np.float32], granularity: Granularity) -> Quantization:
    """Of a scale per output channel, which per tensor are all equal: one."""
    if granularity == "per_tensor":
        return per_tensor(scale[0], 0)
    return Quantization(scale=scale, zero_point=np.zeros(scale.size, np.int64), axis=0)


def _set(tensors: dict[str, Tensor], operator: Operator, tensor: Tensor) -> None:
    """Store a quantized constant; one that two layers share must come out the same for both."""
    before = tensors[tensor.name]
    if before.dtype != "float32" and not (
        before.data is not None
        and tensor.data is not None
        and np.array_equal(before.data, tensor.data)
        and tensor.quantization is not None
        and tensor.quantization.same_as(before.quantization)
    ):
        raise EdgeError(f"operator '{operator.name}' shares '{tensor.name}' with another layer; give each its own copy")
    tensors[tensor.name] = tensor


def _quantize_operands(graph: Graph, operator: Operator, tensors: dict[str, Tensor], scheme: Scheme) -> None:
    for name in operator.inputs:
        tensor = graph.tensors[name] if name else None
        if tensor is None or tensor.data is None or tensor.dtype != "float32":
            continue
        values: npt.NDArray[np.float32] = tensor.data
        if not values.size or not np.isfinite(values).all():
            raise EdgeError(f"{operator.kind} '{operator.name}': constant '{name}' is empty or not finite")
        if operator.kind in TIED:
            found = tensors[operator.outputs[0]].quantization
            assert found is not None
            scale, zero_point = found.scale[0], int(found.zero_point[0])
        else:
            scale, zero_point = operand_parameters(values, scheme)
        integers = np.clip(np.rint(values / scale) + zero_point, *scheme.activation_limits).astype(
            scheme.activation_dtype
        )
        tensors[name] = replace(
            tensor, dtype=scheme.activation_dtype, data=integers, quantization=per_tensor(scale, zero_point)
        )


def operand_parameters(values: npt.NDArray[np.float32], scheme: Scheme) -> tuple[np.float32, int]:
    """Scale and zero point of a constant that is an operand like any activation: those of its own range."""
    return activation_parameters(float(values.min()), float(values.max()), scheme)
