"""A model file becomes a graph."""
