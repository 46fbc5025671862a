"""How a begun card writes its lines."""

from edge.artifact.card import OPEN

LEFT = f'"{OPEN}"'


def line(key: str, value: str, remark: str) -> str:
    """A key, its value as TOML writes it, and a remark that says whence it is, or what to say."""
    return f"{f'{key} = {value}':<33}# {remark}"
