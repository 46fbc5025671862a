"""What a `--source` may name, and what opens it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from edge.camera.sources.film import open_film
from edge.camera.sources.network import names_url, open_stream
from edge.camera.sources.options import SourceOptions
from edge.camera.sources.pi_camera import PREFIX as PI_CAMERA
from edge.camera.sources.pi_camera import open_pi_camera
from edge.camera.sources.pictures import open_folder, open_images_of_split, open_picture
from edge.camera.sources.pipeline import PREFIX as PIPELINE
from edge.camera.sources.pipeline import open_pipeline
from edge.camera.sources.rotation import Turned
from edge.camera.sources.source import Source
from edge.camera.sources.video4linux import DEVICES, open_camera
from edge.data.decode import IMAGE_SUFFIXES
from edge.data.open_split import SPLIT_KINDS
from edge.data.split_file import SUFFIX
from edge.errors import DataError, UsageError
from edge.files.bounded_file import is_dir, is_file, read_text

MOST_TEXT_BYTES = 1 << 16
VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg"})


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of source: whether a text names one, what opens it, and the rotations that it does itself."""

    named: Callable[[str], bool]
    opened: Callable[[str, SourceOptions], Source]
    turns: frozenset[int] = frozenset()


def open_source(text: str, options: SourceOptions | None = None) -> Source:
    """Open what a `--source` names.

    Args:
        text: a folder of pictures, one picture, a video file, a camera's number (`0`) or device (`/dev/video0`), a URL
            (`rtsp://`, `rtsps://`, `rtmp://`, `http://`, `https://`), a camera of a Raspberry Pi (`picamera2`,
            `picamera2:1`), a pipeline (`gstreamer:v4l2src ! ... ! appsink`), or a split (`generated:segment:val`,
            `camvid:FOLDER:val`, `recipe:RUN:val`, `FILE.split.json`); `@FILE`: what the first line of a file names, so
            that a password stands in no list of processes.
        options: of cameras; the others take the rotation alone.

    Raises:
        DataError: nothing there, or it cannot be opened.
        UsageError: a file of another kind.
    """
    options = options or SourceOptions()
    if text.startswith("@"):
        text = read_text(text[1:], most_bytes=MOST_TEXT_BYTES, error=DataError).partition("\n")[0].strip()
    if not text:  # a path of nothing is the working folder
        raise UsageError("--source: names nothing; is the file that it stands in empty?")
    kind = next(kind for kind in KINDS.values() if kind.named(text))
    source = kind.opened(text, options)
    return source if options.rotate in {0, *kind.turns} else Turned(source, options.rotate)


def _names_split(text: str) -> bool:
    return text.endswith(SUFFIX) or (text.split(":", 1)[0] in SPLIT_KINDS and ":" in text)


def _names_camera(text: str) -> bool:
    path = Path(text)
    return text.isdecimal() or (re.fullmatch(r"video\d+", path.name) is not None and path.parent == DEVICES)


def _open_camera(text: str, options: SourceOptions) -> Source:
    return open_camera(DEVICES / f"video{text}" if text.isdecimal() else Path(text), options)


def _open_file(text: str, options: SourceOptions) -> Source:
    path = Path(text)
    if not is_file(path):
        raise DataError(path, "no such file, folder or camera")
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return open_film(path)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return open_picture(path)
    known = ", ".join(sorted(VIDEO_SUFFIXES | IMAGE_SUFFIXES))
    raise UsageError(f"{path}: '{path.suffix}' is neither a picture nor a video of a known kind; known: {known}")


# The first that a text names; the last takes everything.
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "url": Kind(named=names_url, opened=open_stream),
        "pi camera": Kind(
            named=lambda text: text.split(":")[0] == PI_CAMERA, opened=open_pi_camera, turns=frozenset({180})
        ),
        "pipeline": Kind(
            named=lambda text: text.startswith(PIPELINE),
            opened=lambda text, options: open_pipeline(text.removeprefix(PIPELINE).strip()),
        ),
        "split": Kind(named=_names_split, opened=lambda text, options: open_images_of_split(text)),
        "camera": Kind(named=_names_camera, opened=_open_camera),
        "folder": Kind(named=lambda text: is_dir(Path(text)), opened=lambda text, options: open_folder(Path(text))),
        "file": Kind(named=lambda text: True, opened=_open_file),
    }
)
