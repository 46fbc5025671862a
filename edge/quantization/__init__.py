"""Quantization: what training and calibration have in common."""
