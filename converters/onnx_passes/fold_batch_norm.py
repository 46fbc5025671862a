"""Folding batch norm into the convolution or Gemm before it."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edge.graph.fuse_activations import fuse_activations
from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.rewrite import fresh_name, rebuild


def fold_batch_norm(graph: Graph) -> Graph:
    """Remove every BatchNorm: folded into the float Conv or Gemm whose only reader it is, else one Mul and one Add.

    Requires: an NCHW graph.
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
        producer.kind in ("Conv", "Gemm")
        and producer.attributes["activation"] == "none"
        and graph.tensors[producer.inputs[1]].dtype == "float32"
        and graph.tensors[producer.inputs[1]].data is not None
        and len(graph.consumers(output)) == 1
        and output not in graph.outputs
    )


def _affine(tensors: dict[str, Tensor], operator: Operator) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Factor and offset per channel, float64 (C,)."""
    arrays = []
    for name in operator.inputs[1:]:
        data = tensors[name].data
        assert data is not None
        arrays.append(data.astype(np.float64))
    gamma, beta, mean, variance = arrays
    factor = gamma / np.sqrt(variance + operator.attributes["epsilon"])
    return factor, beta - mean * factor


def _folded(tensors: dict[str, Tensor], producer: Operator, norm: Operator) -> Operator:
    factor, offset = _affine(tensors, norm)
    weight = tensors[producer.inputs[1]]
    assert weight.data is not None
    scaled = weight.data.astype(np.float64) * factor.reshape((-1,) + (1,) * (weight.data.ndim - 1))
    if producer.inputs[2]:
        bias = tensors[producer.inputs[2]].data
        assert bias is not None
        offset = offset + bias.astype(np.float64) * factor
    names = (
        _constant(tensors, f"{weight.name}/folded", scaled),
        _constant(tensors, f"{producer.inputs[2] or producer.name + '/bias'}/folded", offset),
    )
    return replace(producer, inputs=(producer.inputs[0], *names), outputs=norm.outputs)


def _as_arithmetic(tensors: dict[str, Tensor], norm: Operator) -> tuple[Operator, Operator]:
    factor, offset = _affine(tensors, norm)
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
