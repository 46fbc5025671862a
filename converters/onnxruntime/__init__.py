"""The ONNX form that ONNX Runtime runs fast."""
