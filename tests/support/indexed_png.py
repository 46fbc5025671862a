"""PNG files of one channel, of any depth, with or without a palette, as OpenCV does not write them."""

import struct
import zlib

import numpy as np


def indexed_png(values: np.ndarray, depth: int, palette: bytes | None) -> bytes:
    """Values uint8 (h, w) as `depth` bits each; `palette`: 3 bytes a colour, None: grey."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = values.shape
    bits = np.unpackbits(values[:, :, None], axis=2)[:, :, 8 - depth :].reshape(height, -1)
    rows = b"".join(b"\x00" + row.tobytes() for row in np.packbits(bits, axis=1))
    header = struct.pack(">IIBBBBB", width, height, depth, 0 if palette is None else 3, 0, 0, 0)
    shown = b"" if palette is None else chunk(b"PLTE", palette)
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + shown + data + chunk(b"IEND", b"")
