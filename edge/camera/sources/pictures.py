"""Single pictures as frames: of a folder, one file, or a split."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from edge.data.decode import IMAGE_SUFFIXES, image_files, read_image
from edge.data.open_split import open_split
from edge.data.splits import Split
from edge.errors import DataError
from edge.vision.frame import Frame


class PictureSource:
    """Pictures, decoded when it is their turn."""

    live, pictures, timed = False, True, False
    frames_per_second: float | None = None

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        self._paths = paths
        self.name = name

    def frames(self) -> Iterator[Frame]:
        """The pictures in order. Refuses (DataError) a damaged one."""
        for path in self._paths:
            yield Frame(image=read_image(path), format="rgb", name=path.name)

    def close(self) -> None:
        """Nothing is held."""


class SplitSource:
    """The images of a split."""

    live, pictures, timed = False, True, False
    frames_per_second: float | None = None

    def __init__(self, split: Split, name: str) -> None:
        self._split = split
        self.name = name

    def frames(self) -> Iterator[Frame]:
        """The images in the split's order. Refuses (DataError) a damaged one."""
        for index in range(len(self._split)):
            yield Frame(image=self._split.image(index), format="rgb", name=self._split.name(index))

    def close(self) -> None:
        """Nothing is held."""


def open_folder(folder: Path) -> PictureSource:
    """The pictures of a folder, by name. Refuses (DataError) one without any."""
    pictures = image_files(folder)
    if not pictures:
        raise DataError(folder, f"holds no picture ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return PictureSource(pictures, str(folder))


def open_picture(path: Path) -> PictureSource:
    """One picture."""
    return PictureSource([path], str(path))


def open_images_of_split(text: str) -> SplitSource:
    """The images of what names a split, as `edge.data.open_split` reads it."""
    return SplitSource(open_split(split=text), text)
