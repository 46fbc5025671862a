"""Kernels by operator family: float, int8, int16 and those of quantization-aware training."""
