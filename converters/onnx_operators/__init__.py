"""How each canonical operator is written as ONNX nodes (operator set 17): one file per family, one table."""
