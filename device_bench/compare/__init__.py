"""Whether a change made something slower."""
