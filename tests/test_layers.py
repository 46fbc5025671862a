"""What the one contract of pyproject.toml notices, on trees of a few modules."""

from collections.abc import Sequence
from pathlib import Path

import grimp
import pytest
from importlinter.configuration import configure

from tests.support.layered_contract import LayeredContract

configure()
TABLE = """
| layer | may need | what it is for |
| --- | --- | --- |
| `edge/cli` | torch | all |
| `converters` | host | files |
| `device_bench` | light | measures |
| `edge/engines` | light; torch in `edge/engines/torch` | runs |
| `edge/graph` | host | the graph |
| `edge/files` | light | files |
"""
MODULES = (
    "edge.errors",
    "edge.cli.main",
    "converters.writer",
    "device_bench.job",
    "edge.engines.engine",
    "edge.engines.torch.engine",
    "edge.graph.graph",
    "edge.graph.ops.kinds",
    "edge.graph.passes.fuse",
    "edge.files.atomic",
)
ALLOWED = [
    ("edge.cli.main", "converters.writer"),
    ("edge.cli.main", "torch"),
    ("converters.writer", "edge.graph.graph"),
    ("device_bench.job", "edge.engines.engine"),
    ("edge.engines.engine", "edge.engines.torch.engine"),
    ("edge.engines.torch.engine", "torch"),
    ("edge.graph.graph", "onnx"),
    ("edge.graph.passes.fuse", "edge.graph.ops.kinds"),
    ("edge.files.atomic", "edge.errors"),
]


def problems(tmp_path: Path, imports: Sequence[tuple[str, str]] = (), modules: Sequence[str] = ()) -> list[str]:
    """What is broken where these imports and modules come to those that are allowed."""
    graph = grimp.ImportGraph()
    for name in (*MODULES, *modules):
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):
            graph.add_module(".".join(parts[:depth]))
    for name in ("torch", "onnx", "flatbuffers", "safetensors"):
        graph.add_module(name, is_squashed=True)
    for importer, imported in (*ALLOWED, *imports):
        graph.add_import(importer=importer, imported=imported, line_number=1, line_contents="import")
    (tmp_path / "table.md").write_text(TABLE)
    options = {"root_packages": ["edge", "converters", "device_bench"], "include_external_packages": True}
    contract = LayeredContract("layers", options, {"table": str(tmp_path / "table.md")})
    check = contract.check(graph, verbose=False)
    found = [*check.metadata["unnamed"], *(broken.name for broken, _ in check.metadata["broken"])]
    assert check.kept is (not found)
    return found


def test_what_the_table_allows_is_kept(tmp_path: Path) -> None:
    assert problems(tmp_path) == []


@pytest.mark.parametrize(
    ("importer", "imported", "problem"),
    [
        ("edge.files.atomic", "edge.graph.graph", "imports point down"),
        ("edge.graph.graph", "converters.writer", "imports point down"),
        ("converters.writer", "device_bench.job", "imports point down"),
        ("device_bench.job", "converters.writer", "imports point down"),
        ("edge.errors", "edge.files.atomic", "imports point down"),
        ("edge.graph.ops.kinds", "edge.graph.passes.fuse", "no circles"),
        ("edge.files.atomic", "torch", "what is light needs no more"),
        ("edge.engines.engine", "edge.graph.graph", "what is light needs no more"),
        ("edge.errors", "onnx", "what is light needs no more"),
        ("converters.writer", "torch", "what is host needs no more"),
    ],
)
def test_an_import_that_the_table_does_not_allow_is_noticed(
    importer: str, imported: str, problem: str, tmp_path: Path
) -> None:
    assert problem in problems(tmp_path, [(importer, imported)])


def test_a_package_without_a_row_is_noticed(tmp_path: Path) -> None:
    """A module beside the packages needs none: it is the lowest layer."""
    assert problems(tmp_path, modules=["edge.new.thing"]) == ["edge.new"]
    assert problems(tmp_path, modules=["edge.terminal"]) == []


def test_a_row_without_a_package_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "table.md").write_text(TABLE + "| `edge/gone` | light | nothing |\n")
    contract = LayeredContract(
        "layers", {"root_packages": ["edge", "converters", "device_bench"]}, {"table": str(tmp_path / "table.md")}
    )
    graph = grimp.ImportGraph()
    for name in ("edge", "edge.cli", "converters", "device_bench"):
        graph.add_module(name)
    with pytest.raises(ValueError, match="Missing layer"):
        contract.check(graph, verbose=False)
