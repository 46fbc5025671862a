"""From a camera frame to model input and from model output to a picture."""
