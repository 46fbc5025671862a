"""How each ONNX operator becomes a canonical one: one file per family, one table."""
