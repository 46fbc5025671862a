"""Metrics, fidelity and the verdict: arrays and records in, numbers out."""
