"""From a PyTorch vision model to an exact INT8 file on a camera."""
