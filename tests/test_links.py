"""Every link of the pages leads to a file, and to a heading in it; no page is unlisted; pages that code names exist."""

import re
from pathlib import Path

import pytest

from tests.support.pages import PAGES, ROOT, anchors, links, name_of

SOURCES = ("edge", "converters", "device_bench", "tests", "docs")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"https?:|mailto:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.is_relative_to(ROOT) and file.exists(), link
        assert not anchor or anchor in anchors(file), f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_holds_two_versions(page: Path) -> None:
    """What a merge could not decide stands between such lines."""
    assert not re.search(r"^(<{7}|>{7}) ", page.read_text("utf-8"), re.MULTILINE)


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page.suffix == ".md" and page not in reached:
            reached.add(page)
            waiting += targets(page)
    assert not set(PAGES) - reached


def test_the_index_links_every_page() -> None:
    docs = ROOT / "docs"
    pages = {*docs.rglob("*.md"), *docs.glob("*.json"), ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"}
    assert pages - {docs / "README.md"} <= set(targets(docs / "README.md"))


def targets(page: Path) -> list[Path]:
    """The files that a page links."""
    return [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if ":" not in link]


@pytest.mark.parametrize("folder", SOURCES)
def test_pages_that_the_code_names_are_there(folder: str) -> None:
    for path in sorted((ROOT / folder).rglob("*.py")):
        for name, anchor in re.findall(r"\b(docs/[\w/]+\.md)(?:#([\w-]+))?", path.read_text("utf-8")):
            assert (ROOT / name).is_file(), f"{path.relative_to(ROOT)}: {name}"
            assert not anchor or anchor in anchors(ROOT / name), f"{path.relative_to(ROOT)}: {name}#{anchor}"
