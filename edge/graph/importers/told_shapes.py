"""Shapes that a file leaves to the runtime: published files do so for what a detector's post-processing makes."""

from collections.abc import Sequence
from dataclasses import replace

from edge.graph.graph import KINDS, Graph


def with_told_shapes(graph: Graph, outputs: Sequence[tuple[int, ...]]) -> Graph:
    """The graph with its outputs' shapes as a runtime or a manifest tells them.

    Only those change that have no axis in the file and are made by an operator without a kind.
    """
    made = {name for operator in graph.operators if operator.kind not in KINDS for name in operator.outputs}
    return graph.with_tensors(
        replace(graph.tensors[name], shape=shape)
        for name, shape in zip(graph.outputs, outputs, strict=False)
        if name in made and graph.tensors[name].shape == ()
    )
