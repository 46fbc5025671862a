"""TFLite operators as the graph's, by family."""
