"""A mask file's pixels as they are stored: class indices or colours, and the palette that shows indices.

OpenCV would turn a palette PNG (the form of Pascal VOC masks) into colours and spread fewer than 8 bits over 0 to 255.
Here both give the indices, and whatever could have changed them is refused.
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data.decode import PNG_SIGNATURE, check_container, imdecode, png_chunks, read_file
from edge.errors import DataError

Pixels = NDArray[np.uint8]

MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".pgm", ".ppm")
_GREY, _PALETTE = 0, 3  # colour types of PNG


@dataclass(frozen=True, kw_only=True)
class MaskPixels:
    """What a mask file holds.

    Attributes:
        pixels: uint8 (h, w) of values, or uint8 (h, w, 3) of RGB colours.
        palette: uint8 (n, 3), the RGB colour by value, of a palette file; None for any other, and for a palette that is
            a ramp of greys, which says no more than the values do.
    """

    pixels: Pixels
    palette: Pixels | None = None


def read_mask(path: Path, sha256: str | None = None) -> MaskPixels:
    """The pixels of a mask file; see `decode_mask` and `read_file` for what is refused."""
    return decode_mask(path, read_file(path, sha256))


def decode_mask(path: Path, data: bytes) -> MaskPixels:
    """The pixels of a mask: one channel of values, a palette PNG's indices, or RGB colours.

    `path` is for the message alone. Three equal channels stay colours. Refused: JPEG and WebP, which change values;
    values above 255, fractions, transparent pixels, colours of more than 8 bits.
    """
    check_container(path, data)
    for start, kind in ((b"\xff\xd8", "a JPEG"), (b"RIFF", "a WebP")):
        if data.startswith(start):
            raise DataError(path, f"a mask cannot be {kind} (compression changes the class indices); save it as PNG")
    data, depth, palette = _indices_as_grey(path, data)
    pixels = imdecode(path, data, cv2.IMREAD_UNCHANGED)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        if (pixels[:, :, 3] != np.iinfo(pixels.dtype).max).any():
            raise DataError(path, "a mask with transparent pixels: which class they are is not said; save it without")
        pixels = pixels[:, :, :3]
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim == 3 and (pixels.shape[2] != 3 or pixels.dtype != np.uint8):
        raise DataError(path, f"a mask has one channel, or 3 of 8 bits, found {pixels.shape[2]} x {pixels.dtype}")
    if pixels.ndim == 3:
        return MaskPixels(pixels=np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8))
    return MaskPixels(pixels=_bytes(path, pixels) // (255 // (2**depth - 1)), palette=palette)


def _bytes(path: Path, pixels: NDArray[Any]) -> Pixels:
    """One channel of whole numbers as uint8; refused where one does not fit."""
    if not np.issubdtype(pixels.dtype, np.integer):
        raise DataError(path, f"a mask holds whole numbers, found {pixels.dtype}; save the class indices as 8-bit PNG")
    outside = (pixels < 0) | (pixels > 255)
    if outside.any():
        y, x = np.argwhere(outside)[0]
        raise DataError(
            path,
            f"value {pixels[y, x]} at x {x}, y {y}: class indices are 0 to 255; save them as 8-bit PNG, void as 255",
        )
    return pixels.astype(np.uint8)


def _indices_as_grey(path: Path, data: bytes) -> tuple[bytes, int, Pixels | None]:
    """A PNG of indices relabelled as grey, its bits per pixel (8 for anything else), and its palette.

    Grey of fewer than 8 bits is decoded as value * 255 / (2^bits - 1), so the values come back by a division.
    """
    if not data.startswith(PNG_SIGNATURE):
        return data, 8, None
    chunks = png_chunks(path, data)
    header = chunks[0][1]
    if chunks[0][0] != b"IHDR" or len(header) != 13:
        raise DataError(path, "a damaged PNG: it does not open with its header")
    depth, colour_type = header[8], header[9]
    if colour_type not in (_GREY, _PALETTE):
        return data, 8, None
    grey = [(b"IHDR", header[:9] + b"\x00" + header[10:])]
    grey += [(kind, body) for kind, body, _ in chunks if kind in (b"IDAT", b"IEND")]
    relabelled = PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
        for kind, body in grey
    )
    stored = next((body for kind, body, _ in chunks if kind == b"PLTE"), b"") if colour_type == _PALETTE else b""
    palette = np.frombuffer(stored[: len(stored) // 3 * 3], dtype=np.uint8).reshape(-1, 3)
    ramp = (palette == palette[:, :1]).all() and (np.diff(palette[:, 0].astype(int)) >= 0).all()
    return relabelled, min(depth, 8), None if ramp else palette
