"""What the pages for contributors name is there: paths, names in files, targets of make, verbs; no page is unlisted."""

import re
from pathlib import Path

import pytest

from edge.cli.main import VERBS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md")),
    *(ROOT / "docs" / name for name in ("architecture.md", "glossary.md", "stability.md")),
    *sorted((ROOT / "docs" / "how_to").glob("*.md")),
]
TOP = r"(?:edge|converters|device_bench|tests|docs|calibration_data|\.ci)"
PATH = re.compile(rf"`((?:{TOP}/[\w./*-]*|[\w.]+\.(?:toml|txt|yaml)|Makefile))`")
NAMED = re.compile(rf"`({TOP}/[\w./-]+\.py)` \(((?:`[\w.]+`(?:, )?)+)\)")
OURS = ("pyproject.toml", "constraints.txt")


def text_of(page: Path) -> str:
    return page.read_text("utf-8")


@pytest.mark.parametrize("page", [page for page in PAGES if page.exists()], ids=lambda page: page.stem)
def test_every_path_is_there(page: Path) -> None:
    named = [path for path in PATH.findall(text_of(page)) if ("/" in path or path in OURS) and "NAME" not in path]
    assert named
    assert [path for path in named if not list(ROOT.glob(path.rstrip("/")))] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.exists()], ids=lambda page: page.stem)
def test_every_name_behind_a_path_stands_in_that_file(page: Path) -> None:
    for path, names in NAMED.findall(text_of(page)):
        held = (ROOT / path).read_text("utf-8")
        for name in re.findall(r"[\w.]+", names):
            assert re.search(rf"\b{name}\b", held), f"{path}: {name}"


@pytest.mark.parametrize("page", [page for page in PAGES if page.exists()], ids=lambda page: page.stem)
def test_every_target_of_make_and_every_verb_is_there(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z][\w-]+)", "\n".join(code_of(page)))) <= targets
    assert set(re.findall(r"^edge ([a-z]\w+)", "\n".join(code_of(page)), re.MULTILINE)) <= set(VERBS)


def test_the_index_links_every_page() -> None:
    linked = {
        (ROOT / "docs" / target).resolve()
        for target in re.findall(r"\]\(([^)#]+)\)", text_of(ROOT / "docs" / "README.md"))
    }
    pages = {
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "docs").glob("*.json"),
        ROOT / "CONTRIBUTING.md",
        ROOT / "SECURITY.md",
    }
    assert pages - {ROOT / "docs" / "README.md"} <= linked


def code_of(page: Path) -> list[str]:
    """Spans in backticks and lines of code blocks."""
    text = text_of(page)
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [*spans, *(line for block in blocks for line in block.splitlines())]
