"""What the markers of a JPEG file say: whether it is whole, and how large its image is (ITU-T T.81, annex B)."""

import re
from dataclasses import dataclass

# In coded data 0xFF is followed by 0x00, a restart marker or another 0xFF; whatever else follows opens a segment.
_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
_END, _SCAN, _ALONE = 0xD9, 0xDA, frozenset({0x01, 0xD8})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_COEFFICIENTS = 64
MOST_SCANS = 500  # a picture has about 10; each one more makes a decoder go through the whole image again


@dataclass(frozen=True, kw_only=True)
class JpegFile:
    """Width, height, and where the end-of-image marker stands: offset in bytes."""

    width: int
    height: int
    end: int


def read_jpeg(data: bytes) -> JpegFile | str:
    """Follow the markers from the first to the end of the (first) image.

    Returns:
        What they say; or what is wrong, for a message: no end, no image, or scans that lack a part of the image, as
        those of a file that was cut and closed again do.
    """
    position, width, height, scans, progressive = 2, 0, 0, 0, False
    missing: dict[int, list[int]] = {}  # by component: the bits that each coefficient still lacks
    while found := _MARKER.search(data, position):
        kind, position = found.group(1)[0], found.end()
        if kind == _END:
            break
        if kind in _ALONE:
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        body = data[position + 2 : position + length]
        if length < 2 or len(body) < length - 2:
            return "a truncated JPEG: it ends within a header"
        position += length
        if kind in _FRAMES and len(body) >= 6:
            progressive = kind in _PROGRESSIVE
            height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            missing = {identifier: [_COEFFICIENTS] * _COEFFICIENTS for identifier in body[6::3]}
        elif kind == _SCAN and len(body) >= 6:
            scans += 1
            first, last, bits = (body[-3], body[-2], body[-1] & 15) if progressive else (0, _COEFFICIENTS - 1, 0)
            for identifier in body[1:-3:2]:
                if scans <= MOST_SCANS and identifier in missing:
                    missing[identifier][first : last + 1] = [bits] * len(missing[identifier][first : last + 1])
    else:
        return "a truncated JPEG: the end-of-image marker is missing"
    if not scans or not missing:
        return "a damaged JPEG: it holds no image"
    if scans > MOST_SCANS:
        return f"a JPEG of {scans} scans; at most {MOST_SCANS} are read"
    if any(any(coefficients) for coefficients in missing.values()):
        return "a truncated JPEG: it ends before the last of its scans"
    return JpegFile(width=width, height=height, end=found.start())
