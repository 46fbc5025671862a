"""Boxes as files of any format give them, and what becomes of them: placed in the image, clipped, omitted or refused.

- An image's size as its file of boxes says it must be the image's: as shown, or as stored where EXIF turns it; the
  boxes are turned with it then. Where no size is said, boxes are of the image as it is shown.
- A box that reaches beyond the image is clipped, one without area omitted, one that repeats another taken once, each
  with a note. One that lies outside, or is turned inside out, is refused.
- Edges are kept to a thousandth of a pixel.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.data.boxes import FARTHEST, Box, BoxTarget
from edge.data.image_size import Edges, ImageSize, image_size
from edge.data.splits import Sample
from edge.errors import DataError, first_of

_DIGITS = 3


@dataclass(frozen=True, kw_only=True)
class GivenBox:
    """A box as written: where in its file, for messages; left, top, right, bottom in pixels; its class index."""

    where: str
    edges: Edges
    label: int
    ignored: bool = False


@dataclass(frozen=True, kw_only=True)
class GivenImage:
    """An image and its boxes as a file gives them.

    Attributes:
        file: which says it, for messages.
        path: the image, relative to the folder of images.
        size_wh: width and height as the file says them; None, where it does not or says 0 x 0.
        shares: edges are shares of the image's width and height, not pixels.
    """

    file: Path
    path: Path
    size_wh: tuple[int, int] | None
    boxes: tuple[GivenBox, ...]
    shares: bool = False


@dataclass
class _Found:
    """What a person should know of, as it is met."""

    empty: list[str] = field(default_factory=list)
    clipped: list[str] = field(default_factory=list)
    furthest: float = 0.0
    repeated: list[str] = field(default_factory=list)
    turned: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)

    def notes(self) -> list[str]:
        lines = []
        if self.empty:
            lines.append(f"{len(self.empty)} boxes have no area and are omitted: {first_of(self.empty)}")
        if self.clipped:
            reach = f"by up to {self.furthest:.3g} pixels"
            told = first_of(self.clipped)
            lines.append(f"{len(self.clipped)} boxes reach beyond their image, {reach}, and are clipped: {told}")
        if self.repeated:
            lines.append(f"{len(self.repeated)} boxes repeat another and are taken once: {first_of(self.repeated)}")
        if self.turned:
            lines.append(
                f"{len(self.turned)} images are turned by EXIF and their boxes are those of the stored image; they are "
                f"turned too: {first_of(self.turned)}"
            )
        if self.doubtful:
            lines.append(
                f"{len(self.doubtful)} images are turned by EXIF, and no size says whether their boxes are of "
                f"the image as shown, which is assumed: {first_of(self.doubtful)}"
            )
        return lines


def box_samples(folder: Path, images: Sequence[GivenImage]) -> tuple[tuple[Sample, ...], list[str]]:
    """A sample per image with its boxes in pixels of the image as it is decoded, and notes.

    Of an image that cannot be decoded nothing is said here: its sample has no boxes.

    Refused (DataError): what the module's text says, edges that are no finite numbers, one image given twice.
    """
    found = _Found()
    samples = []
    given: dict[Path, GivenImage] = {}
    for image in images:
        if image.path in given:
            both = {given[image.path].file.name, image.file.name}
            raise DataError(image.file, f"'{image.path}' is given twice (in {' and '.join(sorted(both))}); leave one")
        given[image.path] = image
        try:
            size = image_size(folder / image.path)
        except DataError:  # who looks at the images (`edge.data.damaged`) names all of them, and may omit them
            target = BoxTarget()
        else:
            target = _target(image, size, _is_stored(image, size, found), found)
        samples.append(Sample(name=image.path.as_posix(), image=folder / image.path, target=target))
    return tuple(samples), found.notes()


def _is_stored(image: GivenImage, size: ImageSize, found: _Found) -> bool:
    """Whether boxes are of the image as stored, not as shown. Refuses a size that is neither's."""
    name = image.path.as_posix()
    if size.orientation == 1:
        said = {size.shown_wh}
    elif size.shown_wh == size.stored_wh or image.size_wh is None:
        found.doubtful.append(name)
        said = {size.shown_wh}
    else:
        said = {size.shown_wh, size.stored_wh}
    if image.size_wh is None or image.size_wh == size.shown_wh:
        return False
    if image.size_wh not in said:
        raise DataError(
            image.file,
            f"says that {name} is {_by(image.size_wh)} (height x width), but it is {_by(size.shown_wh)}: its "
            "boxes are of another image, or of another size of it",
        )
    if size.orientation == 0:
        raise DataError(
            image.file, f"its boxes are of {name} before EXIF turns it; save that image as it is shown and mark it anew"
        )
    found.turned.append(name)
    return True


def _target(image: GivenImage, size: ImageSize, stored: bool, found: _Found) -> BoxTarget:
    width, height = size.stored_wh if stored else size.shown_wh
    boxes: dict[Box, None] = {}
    for given in image.boxes:
        where = f"{image.file.name} {given.where}"
        if not all(abs(edge) < FARTHEST for edge in given.edges):
            raise DataError(image.file, f"{given.where}: {_edges(given.edges)}: not all are numbers of pixels")
        scale = (width, height, width, height) if image.shares else (1, 1, 1, 1)
        left, top, right, bottom = (round(edge * by, _DIGITS) for edge, by in zip(given.edges, scale, strict=True))
        if left > right or top > bottom:
            raise DataError(image.file, f"{given.where}: {_edges(given.edges)}: ends before it begins")
        if left == right or top == bottom:
            found.empty.append(where)
            continue
        if left >= width or top >= height or right <= 0 or bottom <= 0:
            what = "; these are shares of the image, from 0 to 1" if image.shares else ""
            raise DataError(
                image.file,
                f"{given.where}: {_edges(given.edges)}: lies outside the image, {image.path.as_posix()} of "
                f"{height}x{width} pixels (height x width){what}",
            )
        beyond = max(-left, -top, right - width, bottom - height)
        if beyond > 0:
            found.clipped.append(where)
            found.furthest = max(found.furthest, beyond)
        edges = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
        x0, y0, x1, y1 = size.shown(edges) if stored else edges
        box = Box(float(x0), float(y0), float(x1), float(y1), given.label, given.ignored)
        if box in boxes:
            found.repeated.append(where)
        boxes[box] = None
    return BoxTarget(tuple(boxes))


def _edges(edges: Edges) -> str:
    return "left {:.6g}, top {:.6g}, right {:.6g}, bottom {:.6g}".format(*edges)


def _by(size_wh: tuple[int, int]) -> str:
    return "x".join(f"{side:d}" if abs(side) < FARTHEST else f"{str(side)[:9]}..." for side in size_wh[::-1])
