"""Images of a folder by the names that files of boxes give them."""

from pathlib import Path, PurePosixPath

from edge.data.listed_images import ListedImages
from edge.errors import DataError, first_of

_HERE = ("", ".")
LONGEST = 4096  # letters, as of a path of Linux: what is longer names no file


class BoxPaths:
    """Finds images, and keeps what is missing until all are asked for.

    Where a name begins with folders that are not there (`/home/me/set/images/1.jpg`), those are left out, one by one.
    """

    def __init__(self, folder: Path) -> None:
        self.listed = ListedImages(folder)
        self.missing: list[tuple[Path, str, str]] = []
        self.asked = 0
        self._shortened: list[str] = []
        self._found: set[Path] = set()

    def find(self, file: Path, where: str, name: str) -> Path | None:
        """The path in the folder; None, and `missing` has it, where there is none. Refuses an ambiguous name."""
        self.asked += 1
        parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in _HERE]
        if "\0" in name or len(name) > LONGEST:
            parts = []
        for start in range(len(parts)):
            if ".." in parts[start:] or parts[start] == "/":
                continue
            try:
                found = self.listed.find("/".join(parts[start:]))
            except DataError as error:
                raise DataError(file, f"{_at(where)}{error.problem}") from None
            if found is not None:
                if start:
                    self._shortened.append(name)
                self._found.add(found)
                return found
        self.missing.append((file, where, name))
        return None

    def has(self, name: str) -> bool:
        """Whether the folder has an image at this very path, with its ending or without."""
        return self.listed.find(name) is not None

    def take_others(self) -> list[Path]:
        """The images that nobody asked for, which are found herewith."""
        others = self.listed.without(self._found)
        self._found.update(others)
        return others

    def _hint(self, name: str) -> str:
        """Where a whole YOLO set was named, its two folders; else what a file of a similar name says."""
        folders = PurePosixPath(name).parts[:-1]
        if folders.count("labels") == 1:
            labels = PurePosixPath(*folders)
            images = PurePosixPath(*("images" if part == "labels" else part for part in folders))
            root = self.listed.folder
            if (root / images).is_dir():
                return f"; the images of {root / labels} are in {root / images}: name these two folders"
        return self.listed.hint(name)

    def refuse_missing(self) -> None:
        """Refuse (DataError) images that were asked for and are not there."""
        if not self.missing:
            return
        file, where, name = self.missing[0]
        problem = f"{_at(where)}no such image in {self.listed.folder}: {name[:200]!r}{self._hint(name)}"
        if len(self.missing) > 1:
            others = first_of([repr(name[:80]) for _, _, name in self.missing[1:]], most=5)
            problem += f"; of {self.asked} images {len(self.missing) - 1} more are missing: {others}"
        raise DataError(file, problem)

    def notes(self) -> list[str]:
        """Names that were shortened, and images of the folder that no file of boxes names."""
        lines = []
        if self._shortened:
            count = len(self._shortened)
            lines.append(
                f"{count} images are named with folders that are not there, such as {self._shortened[0][:200]}"
            )
        if without := self.listed.without(self._found):
            named = first_of([path.as_posix() for path in without])
            lines.append(f"{len(without)} images of {self.listed.folder} are in no file of boxes and omitted: {named}")
        return lines


def _at(where: str) -> str:
    return f"{where}: " if where else ""
