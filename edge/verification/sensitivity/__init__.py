"""Which layers cost accuracy."""
