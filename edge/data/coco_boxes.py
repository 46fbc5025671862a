"""Boxes of a COCO JSON file (Lin et al., ECCV 2014; cocodataset.org, "Data format", object detection).

`bbox` is left, top, width, height in pixels, the edges of the box. Polygons and run lengths beside it are not looked
at. Ids are whatever numbers or texts the file has, with gaps or without; classes are in the order of their ids.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from edge.data.box_paths import BoxPaths
from edge.data.class_names import ClassNames
from edge.data.given_boxes import GivenBox, GivenImage
from edge.errors import DataError, unknown_name
from edge.files.bounded_file import read_text

MAX_BYTES = 1 << 30
Id = int | str


def read_coco(
    path: Path, images: BoxPaths, classes: ClassNames | None = None
) -> tuple[list[GivenImage], list[str], list[str]]:
    """The images of a file in its order, those without annotations too, the class names, and notes.

    Crowds (`iscrowd`) and what is marked `ignore` are ignored boxes.

    Args:
        classes: the classes, in this order; None: all categories of the file.

    Refused (DataError): what is no COCO file of objects, an annotation of an image or category that is not there,
    without `bbox`, or with text in it, `iscrowd` or `ignore` that is neither 0 nor 1, a category that has boxes and is
    not among `classes`.
    """
    tree = _tree(path)
    categories = {_id(path, where, row): _name(path, where, row) for where, row in _rows(path, tree, "categories")}
    _refuse_twice(path, "categories", list(_ids(path, tree, "categories")))
    names = tuple(categories[key] for key in sorted(categories, key=_order)) if classes is None else classes.names
    labels = {name: label for label, name in enumerate(names)}
    if len(labels) != len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise DataError(path, f"two categories are named '{twice[:60]}'")
    boxes: dict[Id, list[GivenBox]] = {key: [] for key in _ids(path, tree, "images")}
    scored = 0
    _refuse_twice(path, "images", list(_ids(path, tree, "images")))
    for where, row in _rows(path, tree, "annotations"):
        told = f"{where} (id {row['id']!r:.40})" if "id" in row else where
        image = _one_of(path, told, row, "image_id", boxes, "an image")
        category = _one_of(path, told, row, "category_id", categories, "a category")
        scored += row.get("score") is not None
        if categories[category] not in labels:
            raise DataError(path, f"{told}: {unknown_name('class', categories[category], names)}")
        left, top, width, height = _bbox(path, told, row)
        boxes[image].append(
            GivenBox(
                where=told,
                edges=(left, top, left + width, top + height),
                label=labels[categories[category]],
                ignored=_flag(path, told, row, "iscrowd") | _flag(path, told, row, "ignore"),
            )
        )
    given = []
    for where, row in _rows(path, tree, "images"):
        name = row.get("file_name")
        if not isinstance(name, str) or not name:
            raise DataError(path, f"{where}: file_name {name!r:.60} is no name of a file")
        if (found := images.find(path, where, name)) is not None:
            size = _size(path, where, row)
            given.append(GivenImage(file=path, path=found, size_wh=size, boxes=tuple(boxes[row["id"]])))
    if not given and not images.missing:
        raise DataError(path, "has no images")
    notes = [f"{scored} boxes have a score, as what a detector found has; they are taken for what is there"]
    return given, list(names), notes if scored else []


def _tree(path: Path) -> Mapping[str, Any]:
    text = read_text(path, most_bytes=MAX_BYTES, what="file of boxes", error=DataError)
    try:
        tree = json.loads(text)
    except RecursionError:
        raise DataError(path, "is nested too deep") from None
    except ValueError as error:
        raise DataError(path, f"is not JSON: {error}") from None
    if isinstance(tree, list):
        raise DataError(path, "is a list: what a detector found, not what is there; COCO's file of objects is needed")
    keys = ("images", "annotations", "categories")
    lacking = [key for key in keys if not isinstance(tree, dict) or not isinstance(tree.get(key), list)]
    if lacking:
        raise DataError(path, f"has no list '{lacking[0]}'; COCO's file of objects has {', '.join(keys)}")
    found: Mapping[str, Any] = tree
    return found


def _rows(path: Path, tree: Mapping[str, Any], key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for index, row in enumerate(tree[key]):
        if not isinstance(row, dict):
            raise DataError(path, f"{key}[{index}]: {row!r:.60} is no object")
        yield f"{key}[{index}]", row


def _ids(path: Path, tree: Mapping[str, Any], key: str) -> Iterator[Id]:
    for where, row in _rows(path, tree, key):
        yield _id(path, where, row)


def _id(path: Path, where: str, row: Mapping[str, Any]) -> Id:
    found = row.get("id")
    if not _is_id(found):
        raise DataError(path, f"{where}: id {found!r:.60} is neither a whole number nor a text")
    return found


def _is_id(found: object) -> TypeGuard[Id]:
    """Whether it may be an id: Python counts true among the numbers, and takes it for 1."""
    return isinstance(found, Id) and not isinstance(found, bool)


def _one_of(path: Path, where: str, row: Mapping[str, Any], key: str, known: Mapping[Id, Any], what: str) -> Id:
    found = row.get(key)
    if not _is_id(found) or found not in known:
        raise DataError(path, f"{where}: {key} {found!r:.60} is not the id of {what}")
    return found


def _name(path: Path, where: str, row: Mapping[str, Any]) -> str:
    found = row.get("name")
    if not isinstance(found, str) or not found:
        raise DataError(path, f"{where}: name {found!r:.60} is no name")
    return found


def _refuse_twice(path: Path, key: str, ids: list[Id]) -> None:
    if len(set(ids)) != len(ids):
        seen: set[Id] = set()
        twice = next(found for found in ids if found in seen or seen.add(found))  # type: ignore[func-returns-value]
        raise DataError(path, f"two of its {key} have the id {twice!r}")


def _order(key: Id) -> tuple[bool, int, str]:
    return (True, 0, key) if isinstance(key, str) else (False, key, "")


def _bbox(path: Path, where: str, row: Mapping[str, Any]) -> tuple[float, float, float, float]:
    found = row.get("bbox")
    if not isinstance(found, list):
        raise DataError(path, f"{where}: bbox {found!r:.60}; expected [left, top, width, height]")
    if len(found) != 4 or any(isinstance(value, bool) or not isinstance(value, int | float) for value in found):
        raise DataError(path, f"{where}: bbox {json.dumps(found):.80}; expected four numbers, left, top, width, height")
    try:
        left, top, width, height = (float(value) for value in found)
    except OverflowError:
        raise DataError(path, f"{where}: bbox {json.dumps(found)[:80]}: not numbers of pixels") from None
    return left, top, width, height


def _flag(path: Path, where: str, row: Mapping[str, Any], key: str) -> bool:
    found = row.get(key)
    if found is None:
        return False
    if not isinstance(found, int | float) or found not in (0, 1):
        raise DataError(path, f"{where}: {key} {found!r:.40}; expected 0 or 1")
    return bool(found)


def _size(path: Path, where: str, row: Mapping[str, Any]) -> tuple[int, int] | None:
    said = row.get("width"), row.get("height")
    if said in ((None, None), (0, 0)):
        return None
    width, height = (int(value) if isinstance(value, float) and value.is_integer() else value for value in said)
    if not isinstance(width, int) or not isinstance(height, int):
        raise DataError(path, f"{where}: width {said[0]!r:.40} and height {said[1]!r:.40}; expected whole numbers")
    return width, height
