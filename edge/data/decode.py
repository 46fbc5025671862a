"""Bytes of an image file to pixels, with everything that OpenCV would let pass refused.

OpenCV fills a truncated JPEG with grey and says nothing, ignores some damaged PNG chunks, and turns a palette PNG (the
form of Pascal VOC masks) into colours. Here the first two are refused and the third gives the class indices.
"""

import hashlib
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bounded_file import folder_entries, is_file, read_bytes
from edge.errors import DataError

Pixels = NDArray[np.uint8]

MAX_FILE_BYTES = 1 << 30
MOST_PIXELS, MOST_PIXELS_A_SIDE = 1 << 30, 1_000_000  # of OpenCV and libpng, which print lines of their own
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_PALETTE = 3


def read_file(path: Path, sha256: str | None = None) -> bytes:
    """The bytes of a file; refused when it is missing, empty, or differs from the hash pinned for it (hex SHA-256)."""
    data = read_bytes(path, most_bytes=MAX_FILE_BYTES, error=DataError)
    if not data:
        raise DataError(path, "the file is empty")
    if sha256 is not None:
        found = hashlib.sha256(data).hexdigest()
        if found != sha256:
            raise DataError(
                path, f"the file changed since it was pinned: sha256 {found[:12]}..., expected {sha256[:12]}..."
            )
    return data


def decode_image(path: Path, data: bytes) -> Pixels:
    """RGB uint8 (h, w, 3); EXIF orientation applied, grey images repeated over the channels, alpha dropped.

    `path` is for the message alone. Refused: what is no image, and a truncated or damaged JPEG or PNG.
    """
    _check_container(path, data)
    return np.asarray(cv2.cvtColor(_imdecode(path, data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), dtype=np.uint8)


def decode_mask(path: Path, data: bytes) -> Pixels:
    """Class indices uint8 (h, w), from a single-channel 8-bit file or the indices of an 8-bit palette PNG.

    Refused: colour masks, 16-bit masks, palettes of fewer than 8 bits (their indices would be rescaled), JPEG.
    """
    _check_container(path, data)
    if data.startswith(b"\xff\xd8"):
        raise DataError(path, "a mask cannot be a JPEG (compression changes the class indices); save it as PNG")
    mask = _imdecode(path, _palette_to_grey(path, data), cv2.IMREAD_UNCHANGED)
    if mask.ndim == 3 and mask.shape[2] == 1:
        mask = mask[:, :, 0]
    if mask.dtype != np.uint8 or mask.ndim != 2:
        channels = 1 if mask.ndim == 2 else mask.shape[2]
        raise DataError(path, f"a mask must have one 8-bit channel of class indices, found {channels} x {mask.dtype}")
    return np.asarray(mask, dtype=np.uint8)


def read_image(path: Path, sha256: str | None = None) -> Pixels:
    """RGB uint8 (h, w, 3) of an image file; see `decode_image` and `read_file` for what is refused."""
    return decode_image(path, read_file(path, sha256))


def read_mask(path: Path, sha256: str | None = None) -> Pixels:
    """Class indices uint8 (h, w) of a mask file; see `decode_mask` and `read_file` for what is refused."""
    return decode_mask(path, read_file(path, sha256))


def image_files(folder: Path) -> list[Path]:
    """The image files directly in a folder, sorted by name; hidden files and other suffixes are left out."""
    return [
        entry
        for entry in folder_entries(folder, error=DataError)
        if entry.suffix.lower() in IMAGE_SUFFIXES and not entry.name.startswith(".") and is_file(entry)
    ]


def _imdecode(path: Path, data: bytes, flags: int) -> Pixels:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error as error:
        raise DataError(path, f"cannot be decoded: {error.err}") from None
    if pixels is None or pixels.size == 0:
        raise DataError(path, "not an image, or a damaged one")
    return pixels  # type: ignore[no-any-return]  # OpenCV is untyped


def _check_container(path: Path, data: bytes) -> None:
    """Refuse a JPEG without its end marker, and a PNG with a missing end or a wrong checksum."""
    if data.startswith(b"\xff\xd8"):
        # In coded data 0xFF is always followed by 0x00 or a restart marker, so the last start of scan is a real one.
        if data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda") or b"\xff\xda" not in data:
            raise DataError(path, "a truncated JPEG: the end-of-image marker is missing")
    elif data.startswith(_PNG_SIGNATURE):
        for kind, body, checksum in _png_chunks(path, data):
            if kind == b"IHDR" and len(body) == 13:
                width, height = struct.unpack_from(">II", body)
                if not 0 < width * height <= MOST_PIXELS or max(width, height) > MOST_PIXELS_A_SIDE:
                    raise DataError(path, f"{width}x{height} pixels; at most {MOST_PIXELS} are read")
            if zlib.crc32(body, zlib.crc32(kind)) != checksum:
                raise DataError(path, f"a damaged PNG: wrong checksum in chunk {kind.decode('latin-1')}")


def _png_chunks(path: Path, data: bytes) -> list[tuple[bytes, bytes, int]]:
    """(kind, body, stored checksum) of every chunk up to IEND."""
    chunks = []
    position = len(_PNG_SIGNATURE)
    while position + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, position)
        kind = data[position + 4 : position + 8]
        end = position + 8 + size
        if end + 4 > len(data):
            break
        chunks.append((kind, data[position + 8 : end], struct.unpack_from(">I", data, end)[0]))
        if kind == b"IEND":
            return chunks
        position = end + 4
    raise DataError(path, "a truncated PNG: the end chunk is missing")


def _palette_to_grey(path: Path, data: bytes) -> bytes:
    """An 8-bit palette PNG relabelled as grey, so that decoding gives the indices; anything else unchanged."""
    if not data.startswith(_PNG_SIGNATURE):
        return data
    chunks = _png_chunks(path, data)
    header = chunks[0][1]
    if chunks[0][0] != b"IHDR" or len(header) != 13:
        raise DataError(path, "a damaged PNG: it does not open with its header")
    depth, colour_type = header[8], header[9]
    if depth < 8:
        raise DataError(path, f"a mask must have 8 bits per pixel, found {depth}")
    if colour_type != _PNG_PALETTE:
        return data
    grey = [(b"IHDR", header[:9] + b"\x00" + header[10:])]
    grey += [(kind, body) for kind, body, _ in chunks if kind in (b"IDAT", b"IEND")]
    return _PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
        for kind, body in grey
    )
