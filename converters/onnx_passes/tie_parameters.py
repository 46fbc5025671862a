"""Giving kernels that cannot change parameters what they demand, by explicit changes of parameters around them."""

from dataclasses import replace

from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.rewrite import fresh_name, rebuild
from edge.quantization.scheme import TIED


def tie_parameters(graph: Graph) -> Graph:
    """Put a Quantize from integers to integers where a tied operator's input and output have different parameters.

    A Concat's inputs are changed to the output's parameters; any other tied operator works in its input's parameters
    and its output is changed. Graphs of our own training are tied already; files of other tools often are not.

    Requires: Q/DQ pairs collapsed.
    Ensures: every operator of `TIED` over integers has the same parameters on its activations. This adds one
    rounding at each change.
    """
    tensors = dict(graph.tensors)
    operators: list[Operator] = []
    names = {operator.name for operator in graph.operators}
    for operator in graph.operators:
        output = tensors[operator.outputs[0]]
        if operator.kind not in TIED or output.quantization is None:
            operators.append(operator)
        elif operator.kind == "Concat":
            inputs = tuple(_changed(tensors, operators, names, name, output) for name in operator.inputs)
            operators.append(replace(operator, inputs=inputs))
        elif _same(tensors[operator.inputs[0]], output):
            operators.append(operator)
        else:
            source = tensors[operator.inputs[0]]
            before = fresh_name(f"{output.name}/tied", tensors)
            tensors[before] = replace(output, name=before, dtype=source.dtype, quantization=source.quantization)
            operators.append(replace(operator, outputs=(before,)))
            operators.append(_quantize(names, before, output.name))
    return rebuild(graph, operators, tensors)


def _same(left: Tensor, right: Tensor) -> bool:
    return left.dtype == right.dtype and left.quantization is not None and left.quantization.same_as(right.quantization)


def _changed(tensors: dict[str, Tensor], operators: list[Operator], names: set[str], name: str, wanted: Tensor) -> str:
    """The tensor in the wanted parameters, through a Quantize unless it has them."""
    tensor = tensors[name]
    if tensor.data is not None or _same(tensor, wanted):
        return name
    target = fresh_name(f"{name}/as/{wanted.name}", tensors)
    tensors[target] = replace(tensor, name=target, dtype=wanted.dtype, quantization=wanted.quantization)
    operators.append(_quantize(names, name, target))
    return target


def _quantize(names: set[str], source: str, target: str) -> Operator:
    name = fresh_name(f"{target}/requantize", names)
    names.add(name)
    return Operator(kind="Quantize", name=name, inputs=(source,), outputs=(target,), source="QuantizeLinear")
