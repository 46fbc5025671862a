"""The float network that an integer model stands for: its weights as real numbers, its clamps as clamps."""

from dataclasses import replace

from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.passes.rewrite import real_values, rebuild, renamed_inputs


def float_reference(graph: Graph) -> Graph:
    """Make a float graph of one whose Quantize and Dequantize are operators.

    A Quantize becomes a Clip to the real numbers that its integers can hold, as tools use that clamp in place of a
    rectifier; its rounding is omitted. A Dequantize vanishes. Activations keep their names.

    Requires: an integer activation is only moved, never computed with.
    Ensures: float32 throughout, but for indices and class maps.
    """
    tensors = {name: _real(tensor) for name, tensor in graph.tensors.items()}
    names: dict[str, str] = {}
    operators: list[Operator] = []
    for given in graph.operators:
        operator = renamed_inputs(given, names)
        if given.kind == "Dequantize":
            names[given.outputs[0]] = operator.inputs[0]
            continue
        if given.kind == "Quantize":
            output = graph.tensors[given.outputs[0]]
            assert output.quantization is not None
            low, high = output.quantization.limits(output.dtype)
            operator = replace(operator, kind="Clip", attributes={"min": low, "max": high})
        operators.append(operator)
    outputs = tuple(names.get(name, name) for name in graph.outputs)
    return rebuild(graph, operators, tensors, outputs=outputs)


def _real(tensor: Tensor) -> Tensor:
    if tensor.quantization is None:
        return tensor
    data = None if tensor.data is None else real_values(tensor)
    return Tensor(name=tensor.name, shape=tensor.shape, dtype="float32", data=data)
