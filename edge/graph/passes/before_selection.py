"""A detector's graph up to the operator that selects its boxes, which no graph operator of ours stands for."""

from dataclasses import replace

from edge.graph.graph import Graph

SELECTING = "TFLite_Detection_PostProcess"
HEADS = 2  # box codes and probabilities; behind them the operator has its anchors


def before_selection(graph: Graph) -> Graph:
    """The graph without its last operator where that is SELECTING, its outputs what the operator reads of images."""
    if not graph.operators or graph.operators[-1].kind != SELECTING:
        return graph
    *kept, last = graph.operators
    heads = last.inputs[:HEADS]
    gone = {*last.inputs[HEADS:], *last.outputs}
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name not in gone}
    return replace(graph, operators=tuple(kept), tensors=tensors, outputs=heads)
