"""How large an image is, stored and shown, from the head of its file where that says it."""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2

from edge.data.decode import PNG_SIGNATURE, decode_image, imdecode, read_file
from edge.errors import DataError
from edge.files.bounded_file import check_file

_HEAD_BYTES = 1 << 18
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _APP1, _ALONE = 0xDA, 0xE1, frozenset({0x01, *range(0xD0, 0xD9)})
_PNG_HEADER = 33  # the signature and the first chunk, IHDR, with its checksum
_EXIF = b"Exif\0\0"
_ORIENTATION, _SHORT = 0x0112, 3
Edges = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class ImageSize:
    """Width and height as stored, and the orientation of EXIF: 1 as stored, 2 to 8 turned or mirrored, 0 unknown."""

    stored_wh: tuple[int, int]
    shown_wh: tuple[int, int]
    orientation: int = 1

    def shown(self, edges: Edges) -> Edges:
        """Left, top, right, bottom of the stored image in the shown one (EXIF 2.3, table of tag 274)."""
        width, height = self.stored_wh
        left, top, right, bottom = edges
        if self.orientation in (2, 3, 7, 8):
            left, right = width - right, width - left
        if self.orientation in (3, 4, 6, 7):
            top, bottom = height - bottom, height - top
        return (top, left, bottom, right) if self.orientation > 4 else (left, top, right, bottom)


def image_size(path: Path) -> ImageSize:
    """The size of an image as `edge.data.decode` decodes it. Refuses (DataError) what that refuses to decode."""
    check_file(path, error=DataError)
    try:
        with path.open("rb") as handle:
            head = handle.read(_HEAD_BYTES)
    except OSError as problem:
        raise DataError(path, f"cannot be read: {problem.strerror}") from None
    found = None
    if head.startswith(b"\xff\xd8"):
        found = _of_jpeg(head)
    elif head.startswith(PNG_SIGNATURE) and b"eXIf" not in head:
        found = _of_png(head)
    return found or _decoded(path)


def _decoded(path: Path) -> ImageSize:
    data = read_file(path)
    shown = decode_image(path, data, cut_is_looked_for=False).shape
    stored = imdecode(path, data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION).shape
    turned = shown[:2] != stored[:2]
    return ImageSize(stored_wh=(stored[1], stored[0]), shown_wh=(shown[1], shown[0]), orientation=0 if turned else 1)


def _of_png(head: bytes) -> ImageSize | None:
    """What a whole first chunk says; None where it is damaged."""
    if len(head) < _PNG_HEADER or zlib.crc32(head[12:29]) != int.from_bytes(head[29:_PNG_HEADER], "big"):
        return None
    width, height = struct.unpack_from(">II", head, 16)
    return ImageSize(stored_wh=(width, height), shown_wh=(width, height)) if width and height else None


def _of_jpeg(head: bytes) -> ImageSize | None:
    """What the markers before the first scan say; None where they do not stand in the head."""
    position, orientation = 2, 1
    while position + 4 <= len(head) and head[position] == 0xFF:
        kind = head[position + 1]
        if kind == 0xFF or kind in _ALONE:
            position += 1 if kind == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", head, position + 2)
        body = head[position + 4 : position + 2 + length]
        if length < 2 or len(body) < length - 2 or kind == _SCAN:
            return None
        if kind == _APP1 and body.startswith(_EXIF):
            orientation = _orientation(body[len(_EXIF) :])
        if kind in _FRAMES and len(body) >= 6:
            height, width = struct.unpack_from(">HH", body, 1)
            if not width or not height:
                return None
            shown = (height, width) if orientation > 4 else (width, height)
            return ImageSize(stored_wh=(width, height), shown_wh=shown, orientation=orientation)
        position += 2 + length
    return None


def _orientation(tiff: bytes) -> int:
    """Tag 274 of the first directory, 1 where it is not there or means nothing."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return 1
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    if start + 2 > len(tiff):
        return 1
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    for place in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind = struct.unpack_from(f"{order}HH", tiff, place)
        if tag == _ORIENTATION and kind == _SHORT:
            (value,) = struct.unpack_from(f"{order}H", tiff, place + 8)
            return value if 1 <= value <= 8 else 1
    return 1
