"""What a target is asked to measure."""
