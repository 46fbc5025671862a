"""Quantization-aware training: capture, prepare, layers, freeze."""
