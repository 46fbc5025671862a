"""An artifact on frames: choice of the engine, self-test, predictions."""
