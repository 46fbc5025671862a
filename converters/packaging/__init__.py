"""A graph becomes an artifact: files, metadata, manifest, self-test."""
