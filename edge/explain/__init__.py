"""What a model looks at: attributions of its scores, on images."""
