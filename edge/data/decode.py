"""Bytes of an image file to pixels, with everything that OpenCV would let pass refused.

OpenCV fills a truncated JPEG with grey and says nothing, ignores some damaged PNG chunks, and turns a palette PNG (the
form of Pascal VOC masks) into colours. Here the first two are refused and the third gives the class indices. What
phones and cameras write and OpenCV does not read (HEIC, raw files) counts as an image and is refused with the cure: it
would be missed silently otherwise.
"""

import hashlib
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bounded_file import MOST_PIXELS, folder_entries, is_file, read_bytes
from edge.data.jpeg import JpegFile, read_jpeg
from edge.errors import DataError
from edge.runtime.quiet import quiet_native_log

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
    """RGB uint8 (h, w, 3); EXIF orientation applied, 16 bits cut to 8, grey repeated over the channels, alpha dropped.

    `path` is for the message alone. Refused: what is no image, a truncated or damaged JPEG or PNG, HEIC and raw files.
    """
    jpeg = _check_container(path, data)
    pixels = _imdecode(path, data, cv2.IMREAD_COLOR)
    if jpeg is not None and _has_grey_corner(pixels):
        _refuse_filled(path, data, jpeg, pixels)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def check_image(path: Path, data: bytes) -> None:
    """Refuse what `decode_image` refuses, in about half of its time.

    That a JPEG was cut and closed again is not looked for: its decoder says so on standard error (`edge.data.damaged`).
    """
    _check_container(path, data)
    _imdecode(path, data, cv2.IMREAD_REDUCED_GRAYSCALE_8 if data.startswith(_JPEG_START) else cv2.IMREAD_COLOR)


def decode_mask(path: Path, data: bytes) -> Pixels:
    """Class indices uint8 (h, w), from a single-channel 8-bit file or the indices of an 8-bit palette PNG.

    Refused: colour masks, 16-bit masks, palettes of fewer than 8 bits (their indices would be rescaled), JPEG.
    """
    _check_container(path, data)
    if data.startswith(_JPEG_START):
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
    """The image files directly in a folder, sorted by name; hidden files and other suffixes are left out.

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
        longer = _imdecode(path, data[: jpeg.end] + _FILLER + data[jpeg.end :], cv2.IMREAD_COLOR)
    if not np.array_equal(pixels, longer):
        raise DataError(path, "a truncated JPEG: the rest of the image is missing")


def _imdecode(path: Path, data: bytes, flags: int) -> Pixels:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error as error:
        if "MAX_IMAGE" in str(error):
            raise DataError(path, f"has more than the {MOST_PIXELS} pixels that are read") from None
        raise DataError(path, f"cannot be decoded: {error.err}") from None
    if pixels is None or pixels.size == 0:
        raise DataError(path, "not an image, or a damaged one")
    return pixels  # type: ignore[no-any-return]  # OpenCV is untyped


def _check_container(path: Path, data: bytes) -> JpegFile | None:
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
    if data.startswith(_PNG_SIGNATURE):
        for kind, body, checksum in _png_chunks(path, data):
            if kind == b"IHDR" and len(body) == 13:
                _check_size(path, *struct.unpack_from(">II", body))
            if zlib.crc32(body, zlib.crc32(kind)) != checksum:
                raise DataError(path, f"a damaged PNG: wrong checksum in chunk {kind.decode('latin-1')}")
    return None


def _check_size(path: Path, width: int, height: int) -> None:
    if not 0 < width * height <= MOST_PIXELS or max(width, height) > MOST_PIXELS_A_SIDE:
        raise DataError(path, f"{width}x{height} pixels; at most {MOST_PIXELS} are read")


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
