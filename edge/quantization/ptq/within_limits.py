"""The integer graph of given parameters, its ranges widened where an operator's kernel would refuse them."""

from collections.abc import Collection, Mapping

import numpy as np

from edge.artifact.scheme import INT8_SCHEME, Scheme
from edge.graph.graph import Graph
from edge.graph.ops.kernel_limits import operator_floor
from edge.quantization.quantize_graph import quantize_graph
from edge.quantization.ties import RangeGroup


def within_limits(
    graph: Graph,
    groups: Collection[RangeGroup],
    parameters: Mapping[str, tuple[np.float32 | float, int]],
    scheme: Scheme = INT8_SCHEME,
) -> Graph:
    """The integer graph, its ranges widened where an operator would otherwise leave `edge.graph.ops.kernel_limits`.

    An activation that hardly moves on the images would have a scale so small that LiteRT refuses the whole file.
    A wider range of the same shape holds the same values; the zero point stays.
    """
    group_of = {name: group for group in groups if group.fixed is None for name in group.tensors}
    chosen = dict(parameters)
    for _ in range(len(groups) + 1):
        quantized = quantize_graph(graph, chosen, scheme)
        widened = False
        for operator in quantized.operators:
            group = group_of.get(operator.outputs[0])
            floor = operator_floor(operator, quantized.tensors)
            if group is not None and chosen[group.name][0] < floor:
                chosen.update(dict.fromkeys(group.tensors, (np.float32(floor), chosen[group.name][1])))
                widened = True
        if not widened:
            break
    return quantized
