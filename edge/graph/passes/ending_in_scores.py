"""A graph that ends before the operator that hides its scores."""

from edge.graph.graph import Graph
from edge.graph.passes.rewrite import rebuild


def ending_in_scores(graph: Graph) -> Graph:
    """Cut an ArgMax or a Softmax off the first output; other outputs are dropped when it is cut, else they stay.

    A class map has no fine measure of error, and a softmax hides all but the largest scores; the activations before
    them have.
    """
    producer = graph.producer(graph.outputs[0])
    if producer is None or producer.kind not in ("ArgMax", "Softmax", "LogSoftmax"):
        return graph
    return rebuild(graph, graph.operators, outputs=(producer.inputs[0],))
