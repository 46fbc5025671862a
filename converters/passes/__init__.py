"""Graph to graph, on the way to a file."""
