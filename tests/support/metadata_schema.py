"""The metadata schema as the product keeps it, printed from the files in which it is published.

python -m tests.support.metadata_schema FOLDER | ruff format - > edge/graph/importers/tflite/metadata_schema.py

FOLDER is `mediapipe/tasks/metadata` of an installed mediapipe; tests/converters/packaging/test_mediapipe.py compares.
"""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

TEXT = '''"""The published schema of TFLite metadata as tables: names, types and numbers, nothing else.

Printed by `python -m tests.support.metadata_schema` from metadata_schema.fbs {model} and, for a segmenter's options,
image_segmenter_metadata_schema.fbs {segmenter}, as mediapipe publishes them (Apache License 2.0): not to be edited.
A field's place in a file is its place here; a union takes two: its member's number, which is its place + 1, and its
value. Enumerations are bytes. ALIGNMENTS: at a multiple of how many bytes a field's vector starts.
"""

from collections.abc import Mapping
from types import MappingProxyType

MODEL_IDENTIFIER = b"{model_identifier}"
SEGMENTER_IDENTIFIER = b"{segmenter_identifier}"
TABLES: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType({tables})
UNIONS: Mapping[str, tuple[str, ...]] = MappingProxyType({unions})
ENUMERATIONS: Mapping[str, Mapping[str, int]] = MappingProxyType({enumerations})
ALIGNMENTS: Mapping[str, int] = MappingProxyType({alignments})
'''


@dataclass(kw_only=True)
class Schema:
    """What .fbs files declare, in their order: by the file's root type its version and identifier, then all names."""

    versions: dict[str, str] = field(default_factory=dict)
    identifiers: dict[str, str] = field(default_factory=dict)
    tables: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    unions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    enumerations: dict[str, dict[str, int]] = field(default_factory=dict)
    alignments: dict[str, int] = field(default_factory=dict)

    def read(self, text: str) -> None:
        """Add the declarations of a file. Refuses (ValueError) one that there is no rule for."""
        (version,) = re.findall(r"Schema Semantic version: ([\d.]+)", text)
        bare = re.sub(r"//[^\n]*", "", text)
        (root,) = re.findall(r"root_type (\w+);", bare)
        (self.identifiers[root],) = re.findall(r'file_identifier "(....)";', bare)
        self.versions[root] = version
        for kind, name, base, body in re.findall(r"(\w+)\s+(\w+)\s*(?::\s*(\w+)\s*)?\{([^}]*)\}", bare):
            if kind == "table":
                self.tables[name] = tuple(self._field(name, line) for line in _parts(body, ";"))
            elif kind == "union":
                self.unions[name] = tuple(_parts(body, ","))
            elif (kind, base) == ("enum", "byte"):
                pairs = (part.split("=") for part in _parts(body, ","))
                self.enumerations[name] = {member.strip(): int(number) for member, number in pairs}
            else:
                raise ValueError(f"{kind} {name}: only tables, unions and enumerations of bytes are known")

    def _field(self, table: str, line: str) -> tuple[str, str]:
        found = re.fullmatch(r"(\w+)\s*:\s*(\w+|\[\w+\])\s*(?:\(force_align: (\d+)\))?", line)
        if found is None:
            raise ValueError(f"{table}: a field '{line}'")
        name, kind, alignment = found.groups()
        if alignment:
            self.alignments[f"{table}.{name}"] = int(alignment)
        return name, kind


def _parts(body: str, mark: str) -> list[str]:
    return [part.strip() for part in body.split(mark) if part.strip()]


def published(folder: Path) -> Schema:
    """What the two files of a folder declare."""
    schema = Schema()
    for name in ("metadata_schema.fbs", "image_segmenter_metadata_schema.fbs"):
        schema.read((folder / name).read_text())
    return schema


def printed(schema: Schema) -> str:
    """The text of the module, not yet formatted."""
    return TEXT.format(
        model=schema.versions["ModelMetadata"],
        segmenter=schema.versions["ImageSegmenterOptions"],
        model_identifier=schema.identifiers["ModelMetadata"],
        segmenter_identifier=schema.identifiers["ImageSegmenterOptions"],
        tables=schema.tables,
        unions=schema.unions,
        enumerations=schema.enumerations,
        alignments=schema.alignments,
    )


if __name__ == "__main__":
    sys.stdout.write(printed(published(Path(sys.argv[1]))))
