"""The option --input-shape, which several verbs have."""

from edge.errors import UsageError


def parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """`NAME=1x3x224x224` as a name and a shape. Refuses (UsageError) anything else."""
    name, _, sizes = text.rpartition("=")
    parts = sizes.split("x")
    if not name or not all(part.isdecimal() and len(part) < 10 and int(part) > 0 for part in parts):
        raise UsageError(f"--input-shape {text}: expected NAME=SIZExSIZEx..., for example images=1x3x224x224")
    return name, tuple(int(part) for part in parts)
