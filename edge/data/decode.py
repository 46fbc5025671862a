"""Bytes of an image file to pixels, with everything that OpenCV would let pass refused.

OpenCV fills a truncated JPEG with grey and says nothing, and ignores some damaged PNG chunks. Here both are refused.
What phones and cameras write and OpenCV does not read (HEIC, raw files) counts as an image and is refused with the
cure: it would be missed silently otherwise.
"""

import hashlib
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data.jpeg import JpegFile, read_jpeg
from edge.errors import DataError
from edge.files.bounded_file import MOST_PIXELS, folder_entries, is_file, read_bytes
from edge.files.quiet import quiet_native_log

Pixels = NDArray[np.uint8]

MAX_FILE_BYTES = 1 << 30
MOST_PIXELS_A_SIDE = 1_000_000  # of libpng, which prints lines of its own
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
HEIC_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
RAW_SUFFIXES = frozenset({".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"})

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AS_JPEG = "which is not read here; save it as JPEG"
_FILLED = 4  # pixels along a side of a corner that is looked at
_FILLER = bytes((37 * index + 11) % 251 for index in range(256))  # any bytes but 0xFF
_JPEG_START = b"\xff\xd8"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


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


def decode_image(path: Path, data: bytes, *, cut_is_looked_for: bool = True) -> Pixels:
    """RGB uint8 (h, w, 3); EXIF orientation applied, 16 bits cut to 8, grey repeated over the channels, alpha dropped.

    `path` is for the message alone. Refused: what is no image, a truncated or damaged JPEG or PNG, HEIC and raw files.

    Args:
        cut_is_looked_for: a JPEG that was cut and closed again is refused too. That takes standard error for itself, so
            a thread must not do it while another holds standard error and waits for that thread (`edge.data.damaged`).
    """
    jpeg = check_container(path, data)
    pixels = imdecode(path, data, cv2.IMREAD_COLOR)
    if cut_is_looked_for and jpeg is not None and _has_grey_corner(pixels):
        _refuse_filled(path, data, jpeg, pixels)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def check_image(path: Path, data: bytes) -> None:
    """Refuse what `decode_image` refuses, in about half of its time.

    That a JPEG was cut and closed again is not looked for: its decoder says so on standard error (`edge.data.damaged`).
    """
    check_container(path, data)
    imdecode(path, data, cv2.IMREAD_REDUCED_GRAYSCALE_8 if data.startswith(_JPEG_START) else cv2.IMREAD_COLOR)


def read_image(path: Path, sha256: str | None = None) -> Pixels:
    """RGB uint8 (h, w, 3) of an image file; see `decode_image` and `read_file` for what is refused."""
    return decode_image(path, read_file(path, sha256))


def image_files(folder: Path) -> list[Path]:
    """The image files directly in a folder, sorted by name; hidden files and other suffixes are omitted.

    HEIC and raw files are among them, which nothing here reads: reading one says so.
    """
    return [
        entry
        for entry in folder_entries(folder, error=DataError)
        if entry.suffix.lower() in IMAGE_SUFFIXES | HEIC_SUFFIXES | RAW_SUFFIXES
        and not entry.name.startswith(".")
        and is_file(entry)
    ]


def _has_grey_corner(pixels: Pixels) -> bool:
    """Whether a corner (which one is the last depends on the orientation) is of one grey, neither black nor white."""
    ends = (slice(None, _FILLED), slice(-_FILLED, None))
    corners = [pixels[rows, columns] for rows in ends for columns in ends]
    return any(0 < corner.min() == corner.max() < 255 for corner in corners)


def _refuse_filled(path: Path, data: bytes, jpeg: JpegFile, pixels: Pixels) -> None:
    """Refuse a JPEG that was cut and closed again: its decoder fills with grey what the file lacks.

    To a file that lacks nothing, further bytes before its end make no difference.
    """
    with quiet_native_log(everything=True):
        longer = imdecode(path, data[: jpeg.end] + _FILLER + data[jpeg.end :], cv2.IMREAD_COLOR)
    if not np.array_equal(pixels, longer):
        raise DataError(path, "a truncated JPEG: the rest of the image is missing")


def imdecode(path: Path, data: bytes, flags: int) -> NDArray[Any]:
    """What OpenCV makes of the bytes (uint8 unless the flags leave the depth alone); refused when that is nothing."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error as error:
        if "MAX_IMAGE" in str(error):
            raise DataError(path, f"has more than the {MOST_PIXELS} pixels that are read") from None
        raise DataError(path, f"cannot be decoded: {error.err}") from None
    if pixels is None or pixels.size == 0:
        raise DataError(path, "not an image, or a damaged one")
    return pixels


def check_container(path: Path, data: bytes) -> JpegFile | None:
    """Refuse a JPEG or PNG that is not whole or too large, HEIC and raw files; of a JPEG, what its markers say."""
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS:
        raise DataError(path, f"a HEIC photograph, {_AS_JPEG} (`heif-convert`; a phone can be set to take JPEG)")
    if path.suffix.lower() in RAW_SUFFIXES:
        raise DataError(path, f"a raw file of a camera, {_AS_JPEG}")
    if data.startswith(_JPEG_START):
        jpeg = read_jpeg(data)
        if isinstance(jpeg, str):
            raise DataError(path, jpeg)
        _check_size(path, jpeg.width, jpeg.height)
        return jpeg
    if data.startswith(PNG_SIGNATURE):
        for kind, body, checksum in png_chunks(path, data):
            if kind == b"IHDR" and len(body) == 13:
                _check_size(path, *struct.unpack_from(">II", body))
            if zlib.crc32(body, zlib.crc32(kind)) != checksum:
                raise DataError(path, f"a damaged PNG: wrong checksum in chunk {kind.decode('latin-1')}")
    return None


def _check_size(path: Path, width: int, height: int) -> None:
    if not 0 < width * height <= MOST_PIXELS or max(width, height) > MOST_PIXELS_A_SIDE:
        raise DataError(path, f"{height}x{width} pixels (height x width); at most {MOST_PIXELS} are read")


def png_chunks(path: Path, data: bytes) -> list[tuple[bytes, bytes, int]]:
    """Pieces of a PNG: (kind, body, stored checksum) of every chunk up to IEND."""
    chunks = []
    position = len(PNG_SIGNATURE)
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
