"""Writing an average pool's padding out where it counts: TFLite's pool never counts what it padded."""

from dataclasses import replace

from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.passes.rewrite import fresh_name, rebuild

NO_PADS = (0, 0, 0, 0)


def legalize_average_pool(graph: Graph) -> Graph:
    """Pads that count become a Pad of zeros in front; others stay, as the TFLite writer writes them in parts.

    Requires: an NCHW graph.
    Ensures: the same values; over integers the same integers.
    """
    tensors = dict(graph.tensors)
    operators: list[Operator] = []
    for operator in graph.operators:
        counts = operator.kind == "AveragePool" and operator.attributes["count_include_pad"]
        if counts and tuple(operator.attributes["pads"]) != NO_PADS:
            operators += _padded(tensors, operator)
        else:
            operators.append(operator)
    return rebuild(graph, operators, tensors)


def _padded(tensors: dict[str, Tensor], operator: Operator) -> tuple[Operator, Operator]:
    """A Pad of zeros and the pool without pads."""
    source = tensors[operator.inputs[0]]
    top, left, bottom, right = operator.attributes["pads"]
    pads = ((0, 0), (0, 0), (top, bottom), (left, right))
    shape = tuple(size + before + after for size, (before, after) in zip(source.shape, pads, strict=True))
    made = fresh_name(f"{operator.outputs[0]}/padded", tensors)
    tensors[made] = replace(source, name=made, shape=shape)
    pad = Operator(
        kind="Pad",
        name=f"{operator.name}/pad",
        inputs=(source.name,),
        outputs=(made,),
        attributes={"pads": pads, "value": 0.0},
    )
    attributes = {**operator.attributes, "pads": NO_PADS, "count_include_pad": False}
    return pad, replace(operator, inputs=(made,), attributes=attributes)
