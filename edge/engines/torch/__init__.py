"""The engine that runs a graph in torch."""
