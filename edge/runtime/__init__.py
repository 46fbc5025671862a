"""What runs a model file, and the predictor that a camera app embeds."""
