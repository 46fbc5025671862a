"""Post-training quantization: calibration and every step of it."""
