"""Measurements of the product itself: run by hand, never in a test."""
