"""Why it is not faster."""
