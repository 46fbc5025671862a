"""Elements and texts of a small XML file of anybody's, with the line of each.

A document type is refused: only one can declare entities, which may grow without bound or name other files.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from edge.errors import DataError
from edge.files.bounded_file import read_bytes

MOST_BYTES = 1 << 22
DEEPEST = 50
MOST_ELEMENTS = 1 << 18


@dataclass(eq=False)
class Element:
    """One element: its tag, the line it begins in, the pieces of text directly in it, and the elements in it."""

    tag: str
    line: int
    pieces: list[str] = field(default_factory=list)
    children: "list[Element]" = field(default_factory=list)

    def all(self, tag: str) -> "Iterator[Element]":
        """The elements of a tag directly in it."""
        return (child for child in self.children if child.tag == tag)

    def first(self, tag: str) -> "Element | None":
        """The first of them, or None."""
        return next(self.all(tag), None)

    def value(self, tag: str) -> str:
        """The text of the first of them without white space around it; empty where there is none."""
        found = self.first(tag)
        return "" if found is None else "".join(found.pieces).strip()


def read_xml(path: Path) -> Element:
    """The root of an XML file of at most MOST_BYTES.

    Refused (DataError): what is not well-formed, a document type or entities, elements nested over DEEPEST deep, more
    than MOST_ELEMENTS of them.
    """
    data = read_bytes(path, most_bytes=MOST_BYTES, what="file of boxes", error=DataError)
    root = Element(tag="", line=0)
    open_elements, count = [root], 0
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        line = parser.CurrentLineNumber
        if count > MOST_ELEMENTS:
            raise DataError(path, f"line {line}: has over {MOST_ELEMENTS} elements")
        if len(open_elements) > DEEPEST:
            raise DataError(path, f"line {line}: is nested too deep")
        element = Element(tag=tag, line=line)
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def end(tag: str) -> None:
        open_elements.pop()

    def text(characters: str) -> None:
        open_elements[-1].pieces.append(characters)

    def doctype(*_: object) -> None:
        raise DataError(path, f"line {parser.CurrentLineNumber}: a document type, which a file of boxes has no need of")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise DataError(path, f"line {error.lineno}: is not well-formed XML: {expat.ErrorString(error.code)}") from None
    except (LookupError, ValueError) as error:  # an encoding that nobody knows, or of several bytes
        raise DataError(path, f"cannot be read as XML: {error}") from None
    return root.children[0]
