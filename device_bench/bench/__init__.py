"""One measurement, from a plan to its records."""
