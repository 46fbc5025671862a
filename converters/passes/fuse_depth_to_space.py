"""PixelShuffle and its inverse, written as Reshape, Transpose, Reshape, become DepthToSpace and SpaceToDepth."""

from dataclasses import replace
from typing import Any

from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.passes.rewrite import rebuild

# perm of the six axes -> the kind and mode it stands for.
# (n, b, b, c, h, w) and (n, c, b, b, h, w) become (n, c, h, b, w, b); (n, c, h, b, w, b) becomes (n, b, b, c, h, w).
TO_SPACE = {(0, 3, 4, 1, 5, 2): "DCR", (0, 1, 4, 2, 5, 3): "CRD"}
TO_DEPTH = (0, 3, 5, 1, 2, 4)


def fuse_depth_to_space(graph: Graph) -> Graph:
    """Replace the three operators by one where the sizes are those of a block.

    Requires: an NCHW graph.
    Ensures: the same values; the one operator keeps the name of the last.
    """
    return rebuild(graph, [_fused(graph, operator) or operator for operator in graph.operators])


def _fused(graph: Graph, last: Operator) -> Operator | None:
    """The operator that a Reshape ends, if it is one."""
    if last.kind != "Reshape":
        return None
    transpose = _only_producer(graph, last.inputs[0], "Transpose")
    first = _only_producer(graph, transpose.inputs[0], "Reshape") if transpose is not None else None
    if transpose is None or first is None:
        return None
    source, middle, target = (graph.tensors[name] for name in (first.inputs[0], first.outputs[0], last.outputs[0]))
    if len(source.shape) != 4 or len(middle.shape) != 6 or len(target.shape) != 4 or not _same(source, target):
        return None
    perm = tuple(transpose.attributes["perm"])
    n, channels, height, width = source.shape
    kind = ""
    expected: tuple[int, ...] = ()
    wanted: tuple[int, ...] = ()
    attributes: dict[str, Any] = {}
    if perm in TO_SPACE:
        mode = TO_SPACE[perm]
        block = middle.shape[1] if mode == "DCR" else middle.shape[2]
        c = channels // (block * block)
        expected = (n, block, block, c, height, width) if mode == "DCR" else (n, c, block, block, height, width)
        kind, attributes = "DepthToSpace", {"block": block, "mode": mode}
        wanted = (n, c, height * block, width * block)
    elif perm == TO_DEPTH:
        block = middle.shape[3]
        expected = (n, channels, height // block, block, width // block, block)
        kind, attributes = "SpaceToDepth", {"block": block}
        wanted = (n, channels * block * block, height // block, width // block)
    if not kind or middle.shape != expected or target.shape != wanted or block < 2:
        return None
    return replace(last, kind=kind, inputs=first.inputs, attributes=attributes, source=kind)


def _only_producer(graph: Graph, name: str, kind: str) -> Operator | None:
    producer = graph.producer(name)
    alone = producer is not None and len(graph.consumers(name)) == 1 and name not in graph.outputs
    return producer if producer is not None and producer.kind == kind and alone else None


def _same(left: Tensor, right: Tensor) -> bool:
    if left.quantization is None or right.quantization is None:
        return left.quantization is right.quantization
    return left.quantization.same_as(right.quantization)
