"""Image files in a folder and the folders in it, as people have them: links, other systems' leavings, parts."""

from collections.abc import Callable
from pathlib import Path

from edge.data.decode import image_files
from edge.errors import DataError
from edge.files.bounded_file import folder_entries, is_dir

LEAVINGS = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"})
_PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def subfolders(folder: Path) -> list[Path]:
    """The folders and links to folders directly in a folder, by name; hidden ones and leavings are omitted."""
    return [
        entry
        for entry in folder_entries(folder, error=DataError)
        if not entry.name.startswith(".") and entry.name not in LEAVINGS and is_dir(entry)
    ]


def image_tree(folder: Path) -> list[Path]:
    """The image files in a folder and in all folders below it; links are followed, circles are not."""
    return file_tree(folder, image_files)


def file_tree(folder: Path, files: Callable[[Path], list[Path]]) -> list[Path]:
    """What `files` finds in a folder and in all folders below it; links are followed, circles are not."""
    return _tree(folder, files, frozenset())


def _tree(folder: Path, files: Callable[[Path], list[Path]], above: frozenset[tuple[int, int]]) -> list[Path]:
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        return []
    deeper = [path for entry in subfolders(folder) for path in _tree(entry, files, above | {here})]
    return files(folder) + deeper


def parts(folder: Path) -> dict[str, Path]:
    """The folders of a data set that is divided already: `train`, `val` and `test`, by these or like names.

    Empty where a folder of images has another name, or where one folder alone may as well be a class.
    """
    filled = [entry for entry in subfolders(folder) if image_tree(entry)]
    found = {_PARTS[entry.name.lower()]: entry for entry in filled if entry.name.lower() in _PARTS}
    if not found or len(found) < len(filled):
        return {}
    if len(found) == 1 and not any(image_tree(entry) for entry in subfolders(filled[0])):
        return {}
    return {part: found[part] for part in ("train", "val", "test") if part in found}
