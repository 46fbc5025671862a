"""A point head on its way into an artifact."""

from dataclasses import dataclass

from edge.graph.graph import Graph


@dataclass(frozen=True, kw_only=True)
class PointHeadGraph:
    """The graph of a point head, NCHW (1, channels, points, 1), and how often it is asked."""

    graph: Graph
    steps: int
