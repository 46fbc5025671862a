"""The other road: onnx2tf in an environment of its own."""
