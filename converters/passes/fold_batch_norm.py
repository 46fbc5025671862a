"""Folding batch norm into the convolution or Gemm before it."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edge.errors import UnsupportedError
from edge.graph.graph import Graph, Operator, Quantization, Tensor
from edge.graph.passes.fuse_activations import fuse_activations
from edge.graph.passes.rewrite import fresh_name, rebuild


def fold_batch_norm(graph: Graph) -> Graph:
    """Remove every BatchNorm: folded into the float Conv or Gemm whose only reader it is, else one Mul and one Add.

    A weight of integers keeps them: its scale per channel takes the factor, and a negative factor their sign.

    Requires: an NCHW graph; the Conv or Gemm before a BatchNorm writes a float tensor.
    Ensures: no BatchNorm; same outputs up to float32 rounding (folded in float64). A folded operator keeps its name,
    writes the BatchNorm's output, and takes over a rectifier after it; its constants become `NAME/folded`.
    """
    tensors = dict(graph.tensors)
    operators: dict[str, Operator] = {}  # by the name of the output
    for operator in graph.operators:
        if operator.kind != "BatchNorm":
            operators[operator.outputs[0]] = operator
            continue
        producer = operators.get(operator.inputs[0])
        if producer is not None and _is_foldable(graph, producer):
            del operators[operator.inputs[0]]
            operators[operator.outputs[0]] = _folded(tensors, producer, operator)
        else:
            for step in _as_arithmetic(tensors, operator):
                operators[step.outputs[0]] = step
    return fuse_activations(rebuild(graph, operators.values(), tensors))


def _is_foldable(graph: Graph, producer: Operator) -> bool:
    output = producer.outputs[0]
    return (
        producer.kind in ("Conv", "ConvTranspose", "Gemm")
        and producer.attributes["activation"] == "none"
        and graph.tensors[output].dtype == "float32"
        and _is_foldable_weight(graph.tensors[producer.inputs[1]])
        and len(graph.consumers(output)) == 1
        and output not in graph.outputs
    )


def _is_foldable_weight(weight: Tensor) -> bool:
    if weight.data is None or weight.quantization is None:
        return weight.data is not None and weight.dtype == "float32"
    return weight.dtype in ("int8", "uint8") and weight.quantization.axis in (None, 0)


def channel_affine(
    tensors: Mapping[str, Tensor], operator: Operator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Factor and offset per channel of a BatchNorm, float64 (C,)."""
    arrays = []
    for name in operator.inputs[1:]:
        data = tensors[name].data
        assert data is not None
        arrays.append(data.astype(np.float64))
    gamma, beta, mean, variance = arrays
    factor = gamma / np.sqrt(variance + operator.attributes["epsilon"])
    return factor, beta - mean * factor


def _folded(tensors: dict[str, Tensor], producer: Operator, norm: Operator) -> Operator:
    factor, offset = channel_affine(tensors, norm)
    weight = tensors[producer.inputs[1]]
    assert weight.data is not None
    if producer.inputs[2]:
        bias = tensors[producer.inputs[2]]
        assert bias.data is not None
        offset = offset + _exact_values(bias) * factor
    if weight.quantization is None:
        scaled = weight.data.astype(np.float64) * factor.reshape((-1,) + (1,) * (weight.data.ndim - 1))
        name = _constant(tensors, f"{weight.name}/folded", scaled)
    else:
        name = _rescaled_weight(tensors, weight, factor)
    names = (
        name,
        _constant(tensors, f"{producer.inputs[2] or producer.name + '/bias'}/folded", offset),
    )
    return replace(producer, inputs=(producer.inputs[0], *names), outputs=norm.outputs)


def _exact_values(constant: Tensor) -> npt.NDArray[np.float64]:
    """The real numbers of a constant (O,), float64."""
    assert constant.data is not None
    values = constant.data.astype(np.float64)
    if constant.quantization is None:
        return values
    return (values - constant.quantization.zero_point) * constant.quantization.scale.astype(np.float64)


def _rescaled_weight(tensors: dict[str, Tensor], weight: Tensor, factor: npt.NDArray[np.float64]) -> str:
    """A weight of integers times a factor per output channel: q * sign(factor), scale * |factor|.

    A channel of factor 0 keeps its scale and gets integers of zero. Where a sign changes, q - zero_point does.
    """
    assert weight.data is not None and weight.quantization is not None
    column = (-1,) + (1,) * (weight.data.ndim - 1)
    centred = weight.data.astype(np.int64) - weight.quantization.zero_point.reshape(column)
    zero_point = np.broadcast_to(weight.quantization.zero_point, factor.shape)
    integers = centred * np.sign(factor).astype(np.int64).reshape(column)
    limits = np.iinfo(weight.dtype)
    fits = (integers + zero_point.reshape(column) >= limits.min) & (integers + zero_point.reshape(column) <= limits.max)
    if not fits.all():
        raise UnsupportedError(
            f"weight '{weight.name}' holds {limits.min} and the batch norm behind it has a negative factor: the "
            "product does not fit; fold batch norm before quantizing"
        )
    scale = weight.quantization.scale.astype(np.float64) * np.where(factor == 0, 1.0, np.abs(factor))
    name = fresh_name(f"{weight.name}/folded", tensors)
    tensors[name] = Tensor(
        name=name,
        shape=weight.shape,
        dtype=weight.dtype,
        data=(integers + zero_point.reshape(column)).astype(weight.dtype),
        quantization=Quantization(scale=scale.astype(np.float32), zero_point=zero_point, axis=0),
    )
    return name


def _as_arithmetic(tensors: dict[str, Tensor], norm: Operator) -> tuple[Operator, Operator]:
    factor, offset = channel_affine(tensors, norm)
    x, output = norm.inputs[0], norm.outputs[0]
    form = (-1,) + (1,) * (len(tensors[x].shape) - 2)
    scaled = fresh_name(f"{output}/scaled", tensors)
    tensors[scaled] = replace(tensors[output], name=scaled)
    steps = []
    for kind, inputs, target, values in (("Mul", x, scaled, factor), ("Add", scaled, output, offset)):
        constant = _constant(tensors, f"{norm.name}/{kind.lower()}", values.reshape(form))
        steps.append(
            Operator(
                kind=kind,
                name=f"{norm.name}/{kind.lower()}",
                inputs=(inputs, constant),
                outputs=(target,),
                attributes={"activation": "none"},
                source=norm.source,
            )
        )
    return steps[0], steps[1]


def _constant(tensors: dict[str, Tensor], name: str, values: npt.NDArray[np.float64]) -> str:
    name = fresh_name(name, tensors)
    data = np.asarray(values.astype(np.float32), order="C")
    tensors[name] = Tensor(name=name, shape=data.shape, dtype="float32", data=data)
    return name
