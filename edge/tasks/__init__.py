"""What a task is, once: from an output to a prediction, how that is shown, and how it is counted."""
