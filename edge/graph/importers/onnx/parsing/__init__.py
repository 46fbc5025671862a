"""The ONNX file itself: opsets, sizes, tensors beside it, and the draft that operators write into."""
