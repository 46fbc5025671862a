"""A record: its parts, their types and lines, and what taints it."""
