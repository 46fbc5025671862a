"""Moving what works channel by channel from behind a window's Reshape to the convolution or pool in front of it."""

from dataclasses import replace

from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.passes.rewrite import fresh_name, rebuild

HOISTED = frozenset({"Relu", "Relu6", "BatchNorm"})


def hoist_from_reshape(graph: Graph) -> Graph:
    """Let Relu, Relu6 and BatchNorm read (n, c, 1, length) where a Reshape made (n, c, length) of it for them alone.

    A convolution over one axis is read as one over two between Reshapes; its rectifier and batch norm can only be
    fused into it in front of the second one.

    Requires: an NCHW graph of float tensors, or integers with equal parameters on both sides of the operator.
    Ensures: the same values; names of operators and of the last tensor are kept.
    """
    tensors = dict(graph.tensors)
    operators: list[Operator] = []
    places: dict[str, int] = {}
    for operator in graph.operators:
        source = operator.inputs[0] if operator.inputs else ""
        reshape = operators[places[source]] if source in places else None
        if (
            operator.kind in HOISTED
            and reshape is not None
            and _takes_away_a_row(tensors, reshape)
            and len(graph.consumers(source)) == 1
            and source not in graph.outputs
            and _same_form(tensors[source], tensors[operator.outputs[0]])
        ):
            before = tensors[reshape.inputs[0]]
            hoisted = fresh_name(f"{operator.outputs[0]}/lifted", tensors)
            tensors[hoisted] = replace(before, name=hoisted)
            place = places.pop(source)
            operators[place] = replace(operator, inputs=(before.name, *operator.inputs[1:]), outputs=(hoisted,))
            operator = replace(reshape, inputs=(hoisted,), outputs=operator.outputs)
        if operator.kind == "Reshape":
            places[operator.outputs[0]] = len(operators)
        operators.append(operator)
    return rebuild(graph, operators, tensors)


def merge_reshapes(graph: Graph) -> Graph:
    """Let a Reshape of a Reshape read the first one's input; one that then changes nothing vanishes.

    Requires: nothing.
    Ensures: the same values; the graph's outputs keep their names.
    """
    makers: dict[str, Operator] = {}
    names: dict[str, str] = {}
    operators: list[Operator] = []
    for given in graph.operators:
        operator = replace(given, inputs=tuple(names.get(name, name) for name in given.inputs))
        if operator.kind == "Reshape":
            first = makers.get(operator.inputs[0])
            inner = graph.tensors[operator.inputs[0]]
            if first is not None and first.kind == "Reshape" and _same_form(graph.tensors[first.inputs[0]], inner):
                operator = replace(operator, inputs=first.inputs)
            source, target = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
            if source.shape == target.shape and _same_form(source, target) and target.name not in graph.outputs:
                names[target.name] = source.name
                continue
        for name in operator.outputs:
            makers[name] = operator
        operators.append(operator)
    return rebuild(graph, operators)


def _takes_away_a_row(tensors: dict[str, Tensor], reshape: Operator) -> bool:
    before, after = tensors[reshape.inputs[0]].shape, tensors[reshape.outputs[0]].shape
    return len(before) == 4 and len(after) == 3 and before == (*after[:2], 1, after[2])


def _same_form(before: Tensor, after: Tensor) -> bool:
    if before.quantization is None or after.quantization is None:
        return before.quantization is after.quantization and before.dtype == after.dtype
    return before.dtype == after.dtype and before.quantization.same_as(after.quantization)
