"""The pages that people read, as a Markdown parser sees them: their headings, links, words of code and blocks."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
TOP = tuple(sorted(ROOT.glob("*.md")))
PAGES = (*TOP, *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "calibration_data").rglob("*.md")))
_MARK = re.compile(r"\s*<!-- (not run|run by|file): (.+?) -->\s*", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of code, and the comment directly above it.

    Attributes:
        where: `README.md:LINE`, of its first line.
        language: what its fence says; empty where it says nothing, or where the block is indented only.
        mark, said: `not run` and the reason, `run by` and a file, `file` and the name under which the reader keeps the
            block; both empty where no such comment stands above it.
    """

    where: str
    language: str
    text: str
    mark: str = ""
    said: str = ""


def name_of(page: Path) -> str:
    """Within the checkout, as in `README.md`."""
    return page.relative_to(ROOT).as_posix()


@cache
def _tokens(page: Path) -> tuple[Token, ...]:
    return tuple(MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8")))


def blocks(page: Path) -> Iterator[Block]:
    """In their order."""
    above: Token | None = None
    for token in _tokens(page):
        if token.type in ("fence", "code_block"):
            found = _MARK.fullmatch(above.content) if above is not None and above.type == "html_block" else None
            mark, said = found.groups() if found else ("", "")
            where = f"{name_of(page)}:{(token.map or [0])[0] + 1}"
            yield Block(where=where, language=token.info.strip(), text=token.content, mark=mark, said=said)
        above = token


def _inline(page: Path) -> Iterator[Token]:
    for token in _tokens(page):
        yield from token.children or ()


def code_words(page: Path) -> list[str]:
    """What stands between single backticks."""
    return [token.content for token in _inline(page) if token.type == "code_inline"]


def links(page: Path) -> list[str]:
    """Where links and pictures lead, as written."""
    wanted = {"link_open": "href", "image": "src"}
    return [str(token.attrs[wanted[token.type]]) for token in _inline(page) if token.type in wanted]


@cache
def anchors(page: Path) -> frozenset[str]:
    """Of the page's headings, as GitHub makes them: lower case, words joined, the second of a name with -1."""
    tokens, seen, found = _tokens(page), Counter[str](), set()
    for opening, heading in pairwise(tokens):
        if opening.type == "heading_open":
            text = "".join(part.content for part in heading.children or ())
            anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
            seen[anchor] += 1
    return frozenset(found)
