"""Every link of the pages leads to a file, and to a heading in it; every path and module that they name is there."""

import re
from pathlib import Path

import pytest

from tests.support.pages import PAGES, ROOT, anchors, code_words, links, name_of

OURS = ("edge", "converters", "device_bench", "tests", "docs", "calibration_data")
PATH = re.compile(rf"(?:{'|'.join(OURS)})/[\w./-]*[\w-]/?")
MODULE = re.compile(rf"(?:{'|'.join(OURS[:4])})(?:\.\w+)+")
SOURCES = sorted(path for part in (*OURS[:4], "docs") for path in (ROOT / part).rglob("*.py"))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"https?:|mailto:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.is_relative_to(ROOT) and file.exists(), link
        assert not anchor or anchor in anchors(file), f"{link}: no such heading"


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page.suffix == ".md" and page not in reached:
            reached.add(page)
            waiting += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if ":" not in link]
    assert not set(PAGES) - reached


def is_there(module: str) -> bool:
    """A module or package, or a name in one."""
    file = ROOT / module.replace(".", "/")
    if file.is_dir() or file.with_suffix(".py").is_file():
        return True
    above, _, name = module.rpartition(".")
    source = (ROOT / above.replace(".", "/")).with_suffix(".py")
    if not source.is_file():
        return (
            bool(above) and is_there(above) and above.count(".") > 0 and not (ROOT / above.replace(".", "/")).is_dir()
        )
    return (
        re.search(rf"^(?:def |class |async def |){name}\b|import .*\b{name}\b", source.read_text("utf-8"), re.M)
        is not None
    )


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_and_modules_that_a_page_names_are_there(page: Path) -> None:
    for word in code_words(page):
        if PATH.fullmatch(word) and "NAME" not in word:  # which stands for what a reader adds
            assert (ROOT / word).exists(), word
        if MODULE.fullmatch(word) and not word.endswith((".md", ".jpg", ".toml")):
            assert is_there(word), word


@pytest.mark.parametrize("folder", [*OURS[:4], "docs"])
def test_pages_that_the_code_names_are_there(folder: str) -> None:
    for path in SOURCES:
        if path.is_relative_to(ROOT / folder):
            for name, anchor in re.findall(r"\b(docs/[\w/]+\.md)(?:#([\w-]+))?", path.read_text("utf-8")):
                assert (ROOT / name).is_file(), f"{path.relative_to(ROOT)}: {name}"
                assert not anchor or anchor in anchors(ROOT / name), f"{path.relative_to(ROOT)}: {name}#{anchor}"
