"""The interpreters of a graph: float and integer."""
