"""Films of JPEG pictures in an AVI file, written so that they play up to the cut wherever writing is cut.

Every frame reaches the file in one write, whole or not at all; index, counts and lengths are added when the film is
finished (Microsoft, "AVI RIFF File Reference"; sizes of 0 and no index are what players take for a film that is still
being written). `finish_cut_film` adds them to a film whose writer was killed or lost its power.
"""

import errno
import os
import struct
from contextlib import suppress
from pathlib import Path

from edge.errors import FileError

MAKER = b"edge camera\0"
"""What a film of ours says of itself in its header; no other is finished or deleted here."""
MOST_FILM_BYTES = 1 << 30
"""AVI counts in 32 bits, and some players with a sign; a film that is longer is continued in the next file."""
_HEADER_BYTES = 288
_RATE_SCALE = 1_000_000  # rates are stored as frames per so many seconds
_HAS_INDEX = 0x10
_KEY_FRAME = 0x10
_FRAME = b"00dc"
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_LIMIT = 0xFFFFFFFF


class MjpegFilm:
    """A film that is being written; its file is new and is held (flock) against `finish_cut_film` of other processes.

    Attributes:
        frames: written so far.
        size_bytes: of the file as it stands.
    """

    def __init__(self, path: Path, size_wh: tuple[int, int], frames_per_second: float) -> None:
        """Make the file. Raises OSError, also where it is there already."""
        self.frames, self.size_bytes = 0, _HEADER_BYTES
        self._size_wh, self._rate = size_wh, frames_per_second
        self._places: list[tuple[int, int]] = []
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            _hold(self._file)
            _write_whole(self._file, 0, _header(size_wh, frames_per_second, ()))
            os.fsync(self._file)
            _sync_folder(path.parent)
        except BaseException:
            os.close(self._file)
            path.unlink()
            raise

    def add(self, jpeg: bytes, frames_per_second: float | None = None) -> None:
        """Add a frame. Raises OSError, and nothing of it is in the file then.

        Args:
            frames_per_second: what is known of the rate by now; None: no more than before.
        """
        chunk = _FRAME + struct.pack("<I", len(jpeg)) + jpeg + b"\0" * (len(jpeg) % 2)
        _write_whole(self._file, self.size_bytes, chunk)
        self._places.append((self.size_bytes, len(jpeg)))
        self.size_bytes += len(chunk)
        self.frames += 1
        self._rate = frames_per_second or self._rate

    def sync(self) -> None:
        """Bring what was added to the disk, with the rate that is known: it survives a power cut. Raises OSError."""
        os.pwrite(self._file, _header(self._size_wh, self._rate, ()), 0)
        os.fsync(self._file)

    def close(self) -> None:
        """Finish the film, where there is room for an index with one, and bring it to the disk. Raises OSError."""
        try:
            _finish(self._file, self._size_wh, self._rate, self._places)
        finally:
            os.close(self._file)


def finish_cut_film(path: Path) -> int | None:
    """Finish a film whose writer was cut off: what is no whole frame at its end is dropped, index and counts are added.

    Returns:
        How many frames it has; 0: it had none, and was removed. None: not a film of ours, finished before, or still
        being written.

    Raises:
        FileError: it cannot be read or written.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise FileError(path, f"cannot be finished: {error.strerror}") from error
    try:
        head = os.pread(file, _HEADER_BYTES, 0)
        if not _is_ours(head) or struct.unpack_from("<I", head, 4)[0] != 0:
            return None
        try:
            _hold(file)
        except BlockingIOError:
            return None
        places = _whole_frames(file)
        if not places:
            path.unlink()
            return 0
        scale, rate = struct.unpack_from("<II", head, 128)
        _finish(file, struct.unpack_from("<II", head, 64), rate / max(scale, 1), places)
    except OSError as error:
        raise FileError(path, f"cannot be finished: {error.strerror}") from error
    finally:
        os.close(file)
    return len(places)


def is_our_film(path: Path) -> bool:
    """Whether a file is a film of `MjpegFilm`, finished or not; what cannot be read is none."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return _is_ours(os.pread(file, _HEADER_BYTES, 0))
    except OSError:
        return False
    finally:
        os.close(file)


def _is_ours(head: bytes) -> bool:
    return len(head) == _HEADER_BYTES and head[:4] == b"RIFF" and head[8:12] == b"AVI " and MAKER in head


def _header(size_wh: tuple[int, int], frames_per_second: float, places: tuple[tuple[int, int], ...]) -> bytes:
    """What stands before the first frame, _HEADER_BYTES; without places that of a film that is still being written."""
    width, height = size_wh
    largest = max((length for _, length in places), default=0)
    end = places[-1][0] + 8 + places[-1][1] + places[-1][1] % 2 if places else 0
    rate = min(max(round(frames_per_second * _RATE_SCALE), 1), _LIMIT)
    main = struct.pack(
        "<10I16x",
        round(1e6 * _RATE_SCALE / rate) & _LIMIT,
        0,
        0,
        _HAS_INDEX if places else 0,
        len(places),
        0,
        1,
        largest,
        width,
        height,
    )
    stream = struct.pack(
        "<4s4sIHHIIIIIIiI4H", b"vids", b"MJPG", 0, 0, 0, 0, _RATE_SCALE, rate, 0, len(places), largest, -1, 0, 0, 0,
        min(width, 0xFFFF), min(height, 0xFFFF),
    )  # fmt: skip
    bitmap = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"MJPG", width * height * 3, 0, 0, 0, 0)
    streams = _list(b"strl", _chunk(b"strh", stream) + _chunk(b"strf", bitmap))
    heads = _list(b"hdrl", _chunk(b"avih", main) + streams) + _list(b"INFO", _chunk(b"ISFT", MAKER))
    padding = _chunk(b"JUNK", bytes(_HEADER_BYTES - 12 - len(heads) - 8 - 12))
    index_bytes = 8 + 16 * len(places)
    riff, film = (end + index_bytes - 8, end - _HEADER_BYTES + 4) if places else (0, 0)
    return b"RIFF" + struct.pack("<I", riff) + b"AVI " + heads + padding + b"LIST" + struct.pack("<I", film) + b"movi"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data


def _list(kind: bytes, data: bytes) -> bytes:
    return _chunk(b"LIST", kind + data)


def _finish(file: int, size_wh: tuple[int, int], rate: float, places: list[tuple[int, int]]) -> None:
    """Index, counts and lengths; without room for the index the film stays as one that was cut, which plays."""
    offset, length = places[-1] if places else (_HEADER_BYTES, -8)
    end = offset + 8 + length + length % 2
    os.ftruncate(file, end)
    rows = b"".join(
        struct.pack("<4sIII", _FRAME, _KEY_FRAME, place - _HEADER_BYTES + 4, size) for place, size in places
    )
    with suppress(_NoRoomError):
        _write_whole(file, end, _chunk(b"idx1", rows))
        os.fsync(file)  # before the header speaks of it
        os.pwrite(file, _header(size_wh, rate, tuple(places)), 0)
    os.fsync(file)


def _whole_frames(file: int) -> list[tuple[int, int]]:
    """Place and length of every frame up to the first that is not whole."""
    size_bytes = os.fstat(file).st_size
    places, place = [], _HEADER_BYTES
    while place + 8 + 4 <= size_bytes:
        kind, length = struct.unpack("<4sI", os.pread(file, 8, place))
        if kind != _FRAME or length < 4 or place + 8 + length > size_bytes:
            break
        start, end = os.pread(file, 2, place + 8), os.pread(file, 2, place + 8 + length - 2)
        if (start, end) != (_JPEG_START, _JPEG_END):  # after a power cut a disk may hold zeros
            break
        places.append((place, length))
        place += 8 + length + length % 2
    return places


class _NoRoomError(OSError):
    """The disk is full, a quota is used up, or files may grow no larger."""


def _write_whole(file: int, place: int, data: bytes) -> None:
    """Write at a place that is the file's end, or leave the file as it was."""
    written = 0
    try:
        while written < len(data):
            written += os.pwrite(file, memoryview(data)[written:], place + written)
    except OSError as error:
        os.ftruncate(file, place)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise _NoRoomError(error.errno, error.strerror) from error
        raise


def _hold(file: int) -> None:
    """Hold a file until it is closed. Raises BlockingIOError where another process does."""
    import fcntl  # not on every system that imports this module

    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
