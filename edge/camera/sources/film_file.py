"""What a video file says of itself before a decoder opens it: that it is one, and how far its count of frames holds."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from edge.errors import DataError

HEAD_BYTES = 1024
MOST_INDEX_BYTES = 1 << 26
# A playlist or script is a text that names other files: of those no suffix makes a film.
_ISO_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")
_MATROSKA = b"\x1a\x45\xdf\xa3"
_MPEG_STARTS = (b"\0\0\1\xba", b"\0\0\1\xb3")
_TS_SYNC, _TS_PACKET = 0x47, 188
_SMALLEST_BOX, _LONG_BOX = 8, 16


def check_film(path: Path) -> None:
    """Refuse (DataError) a file that does not begin as an MP4, QuickTime, AVI, Matroska, WebM or MPEG file does."""
    try:
        with path.open("rb") as handle:
            head = handle.read(HEAD_BYTES)
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror}") from error
    known = (
        head[4:8] in _ISO_BOXES
        or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")
        or head.startswith((_MATROSKA, *_MPEG_STARTS))
        or (len(head) > _TS_PACKET and head[0] == head[_TS_PACKET] == _TS_SYNC)
    )
    if not known:
        raise DataError(
            path, "is not a video that can be decoded here: it begins as no MP4, AVI, MKV, WebM or MPEG file"
        )


def counts_exactly(path: Path) -> bool:
    """Whether the container states how many frames it gives: an AVI, or an MP4 or QuickTime file that skips none.

    The others state a duration, from which the count is an estimate; so is that of a film that was trimmed without
    coding it anew (an edit list that begins behind the first frame). What cannot be read counts as not stated.
    """
    try:
        with path.open("rb") as handle:
            size_bytes = os.fstat(handle.fileno()).st_size
            head = handle.read(12)
            if head[:4] == b"RIFF":
                return True
            if head[4:8] not in _ISO_BOXES:
                return False
            place = 0
            while place + _SMALLEST_BOX <= size_bytes:
                handle.seek(place)
                length, kind = _box_head(handle.read(_LONG_BOX), size_bytes - place)
                if kind == b"moov" and length <= MOST_INDEX_BYTES:
                    handle.seek(place)
                    return not _skips(handle.read(length))
                place += length
    except (OSError, struct.error, IndexError):
        return False
    return False


def _box_head(data: bytes, rest: int) -> tuple[int, bytes]:
    length, kind = struct.unpack_from(">I4s", data)
    if length == 1:
        length = struct.unpack_from(">Q", data, 8)[0]
    return (rest if length < _SMALLEST_BOX else length), kind


def _skips(moov: bytes) -> bool:
    """Whether the edit list of a picture track begins behind its first frame."""
    for track in _inside(moov, b"moov", b"trak"):
        if next(_inside(track, b"trak", b"mdia", b"minf", b"vmhd"), None) is None:
            continue
        starts = [start for start in map(_media_start, _inside(track, b"trak", b"edts", b"elst")) if start > 0]
        offsets = [
            struct.unpack_from(">i", box, 20)[0]
            for box in _inside(track, b"trak", b"mdia", b"minf", b"stbl", b"ctts")
            if struct.unpack_from(">I", box, 12)[0]
        ]
        if starts and starts[0] > (offsets[0] if offsets else 0):
            return True
    return False


def _media_start(box: bytes) -> int:
    """The media time of the last entry of an edit list; earlier ones may be empty edits (-1), which only wait."""
    version, count = box[8], int(struct.unpack_from(">I", box, 12)[0])
    if count == 0:
        return 0
    form, size = (">Qqi", 20) if version == 1 else (">Iii", 12)
    return int(struct.unpack_from(form, box, 16 + size * (count - 1))[1])


def _inside(data: bytes, *kinds: bytes) -> Iterator[bytes]:
    """The boxes at the end of a path of kinds, of which the first is `data` itself."""
    if len(kinds) == 1:
        yield data
        return
    place = _SMALLEST_BOX
    while place + _SMALLEST_BOX <= len(data):
        length, kind = _box_head(data[place : place + _LONG_BOX], len(data) - place)
        if kind == kinds[1]:
            yield from _inside(data[place : place + length], *kinds[1:])
        place += length
