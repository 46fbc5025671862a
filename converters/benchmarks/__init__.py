"""Measurements of the writers and of the exactness of the integer simulation; run as modules."""
