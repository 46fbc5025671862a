"""The graph's operators as ONNX nodes, by family."""
