"""The class names beside YOLO's text files: `classes.txt` or `obj.names`, a name a line, or `names` of a `data.yaml`.

Of YAML only what such files have is read: `names: [a, b]`, `names: {0: a, 1: b}`, or a list or numbered names on lines
of their own; quotes and comments are understood.
"""

import re
from pathlib import Path

from edge.data.class_names import ClassNames, read_class_names
from edge.errors import DataError
from edge.files.bounded_file import is_file, read_text

YAML_SUFFIXES = (".yaml", ".yml")
LISTS = ("classes.txt", "obj.names", "data.yaml", "data.yml", "dataset.yaml")
MOST_BYTES = 1 << 18
_ABOVE = 3  # folders, from that of the text files: labels/train, labels, and the data set's own
_KEY = re.compile(r"(?m)^names[ \t]*:[ \t]*(.*)$")
_COUNT = re.compile(r"(?m)^nc[ \t]*:[ \t]*(\d{1,9})[ \t]*(?:#.*)?$")
_ITEM = re.compile(r"-[ \t]+(?P<item>.+)|(?P<index>\d{1,9})[ \t]*:[ \t]*(?P<name>.+)")
_NUMBERED = re.compile(r"(\d{1,9})[ \t]*:[ \t]*(.+)", re.DOTALL)
_TOKEN = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,"'\s][^,\n]*""")


def find_names(labels: Path) -> Path | None:
    """The file of class names of a folder of text files: in it, or in the folders above; None: none is there."""
    folder = labels.absolute()
    for place in (folder, *folder.parents)[:_ABOVE]:
        for name in LISTS:
            if is_file(place / name):
                return place / name
    return None


def read_names(path: Path) -> ClassNames:
    """The classes of a list or of a YAML file. Refuses (DataError) a file without, and `names` that are not whole."""
    if path.suffix.lower() not in YAML_SUFFIXES:
        return read_class_names(path)
    text = read_text(path, most_bytes=MOST_BYTES, what="file of class names", error=DataError)
    key = _KEY.search(text)
    if key is None:
        raise DataError(path, "has no `names`: the class names, by their numbers")
    names = _flow(path, key, text) if key[1].lstrip()[:1] in ("[", "{") else _block(path, text[key.end() :])
    if not names:
        where = f"line {_line(text, key.start())}"
        raise DataError(path, f"{where}: `names` are not understood; give a text file of a name per line")
    count = _COUNT.search(text)
    if count and int(count[1]) != len(names):
        raise DataError(path, f"line {_line(text, count.start())}: nc is {count[1]}, but {len(names)} names are given")
    return ClassNames(names=tuple(names))


def _flow(path: Path, key: re.Match[str], text: str) -> list[str]:
    """`[a, b]` or `{0: a, 1: b}`, also over several lines."""
    start = text.index(key[1].lstrip()[0], key.start(1))
    closing = {"[": "]", "{": "}"}[text[start]]
    end = text.find(closing, start)
    line = _line(text, start)
    if end < 0:
        raise DataError(path, f"line {line}: `names` begin with '{text[start]}' and do not end")
    inner = re.sub(r"(?m)[ \t]#.*$", "", text[start + 1 : end])
    tokens = [token.strip() for token in _TOKEN.findall(inner)]
    if text[start] == "[":
        return [_plain(token) for token in tokens]
    pairs = [_NUMBERED.fullmatch(token) for token in tokens]
    return _in_order(path, line, [(int(pair[1]), _plain(pair[2])) for pair in pairs if pair], len(tokens))


def _block(path: Path, text: str) -> list[str]:
    """`- a` or `0: a` on lines of their own, until a line of another key."""
    listed: list[str] = []
    numbered: list[tuple[int, str]] = []
    for line in text.split("\n")[1:]:
        stripped = re.sub(r"[ \t]#.*$", "", line).strip()
        if not stripped or stripped.startswith("#"):
            continue
        found = _ITEM.fullmatch(stripped)
        if found is None or (found["index"] is not None and not line[:1].isspace()):
            break
        if found["item"] is not None:
            listed.append(_plain(found["item"]))
        else:
            numbered.append((int(found["index"]), _plain(found["name"])))
    return listed or _in_order(path, None, numbered, len(numbered))


def _in_order(path: Path, line: int | None, numbered: list[tuple[int, str]], count: int) -> list[str]:
    if len(numbered) != count or sorted(index for index, _ in numbered) != list(range(count)):
        where = "" if line is None else f"line {line}: "
        raise DataError(path, f"{where}`names` must be numbered 0, 1, 2, ..., each once")
    return [name for _, name in sorted(numbered)]


def _plain(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].replace('\\"', '"')
    return text


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
