"""The layers of the product, as the table of docs/architecture.md has them: no list of them stands anywhere else."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).resolve().parents[2]
TABLE = "docs/architecture.md"
# what a layer may need, in the table's words -> what it may not import, by way of others neither
BARRED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"light": ("torch", "onnx", "flatbuffers", "safetensors"), "host": ("torch",), "torch": ()}
)
_ROW = re.compile(rf"^\| `([\w/]+)` \| ({'|'.join(BARRED)})(?:; torch in `([\w/]+)`)? \| ", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One row: a package, by its dotted name.

    Args:
        needs: a key of BARRED.
        exempt: the package in it that may need torch all the same; empty: none.
    """

    package: str
    needs: str
    exempt: str


def read_layers(text: str) -> list[Layer]:
    """The layers from the top down. Refuses (ValueError) a text without such a table."""
    found = [
        Layer(package=path.replace("/", "."), needs=needs, exempt=exempt.replace("/", "."))
        for path, needs, exempt in _ROW.findall(text)
    ]
    if not found:
        raise ValueError("no table of layers: expected rows such as | `edge/graph` | host | what it is for |")
    return found
