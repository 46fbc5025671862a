"""A recipe: one experiment as plain data."""
