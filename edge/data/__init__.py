"""Splits: ordered, hash-pinned lists of samples, and the folders and generators they come from."""
