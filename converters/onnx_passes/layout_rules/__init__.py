"""How each family of operators goes from NCHW to NHWC."""
