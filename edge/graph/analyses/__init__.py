"""What is counted and told from a graph."""
