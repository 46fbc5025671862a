"""Rewrites of a graph, one pass per file."""
