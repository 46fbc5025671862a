"""Quantization-aware training, post-training quantization and the integer simulation."""
