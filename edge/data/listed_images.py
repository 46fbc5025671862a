"""Images of a folder by the names that a list gives them."""

import os
import unicodedata
from collections import defaultdict
from functools import cached_property
from pathlib import Path, PurePosixPath

from edge.data.image_tree import image_tree
from edge.errors import DataError
from edge.files.bounded_file import is_file


class ListedImages:
    """Finds the file that a list means: by its path in the folder; else by it without the ending, if one file has it.

    Paths may be absolute, have the separators of Windows, or write accents in Unicode's other form.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, name: str) -> Path | None:
        """The file's path relative to the folder, or None where there is none.

        Refused (DataError): a path that leads out of the folder, a name without ending that several files have.
        """
        place = PurePosixPath(name)
        if place.is_absolute():
            folder = os.path.abspath(self.folder)
            if not place.is_relative_to(folder):
                raise DataError(self.folder, f"'{name}' lies outside the images' folder")
            place = place.relative_to(folder)
        if ".." in place.parts:
            raise DataError(self.folder, f"'{name}' lies outside the images' folder")
        if is_file(self.folder / place):
            return Path(place)
        key = _key(place.as_posix().replace("\\", "/"))
        found = self._by_path.get(key) or self._by_stem.get(key) or []
        if len(found) > 1:
            both = " and ".join(path.name for path in found[:2])
            raise DataError(self.folder, f"'{name}' may be {both}; list images with their endings")
        return found[0] if found else None

    def without(self, listed: set[Path]) -> list[Path]:
        """The images of the folder that are not among these."""
        return [path for paths in self._by_path.values() for path in paths if path not in listed]

    def hint(self, name: str) -> str:
        """Where an image of that name lies instead, for a message; empty where it is nowhere near."""
        if is_file(self.folder.parent / name):
            return f"; it is in {self.folder.parent}: name that folder"
        last = _key(PurePosixPath(name.replace("\\", "/")).name)
        for key, paths in self._by_path.items():
            if key.rpartition("/")[2].lower() == last.lower():
                return f"; {paths[0].as_posix()} is there"
        return ""

    @cached_property
    def _by_path(self) -> dict[str, list[Path]]:
        by_path: dict[str, list[Path]] = defaultdict(list)
        for path in image_tree(self.folder):
            relative = path.relative_to(self.folder)
            by_path[_key(relative.as_posix())].append(relative)
        return by_path

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        by_stem: dict[str, list[Path]] = defaultdict(list)
        for paths in self._by_path.values():
            for path in paths:
                by_stem[_key(path.with_suffix("").as_posix())].append(path)
        return by_stem


def _key(path: str) -> str:
    return unicodedata.normalize("NFC", path)
