"""The ONNX file itself: opsets, sizes, tensors beside it, and the importer that operators write into."""
