"""Graph to graph, for every importer."""
