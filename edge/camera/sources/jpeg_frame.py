"""One frame of Motion JPEG, or that it came in part."""

from pathlib import Path

from edge.camera.sources.source import Broken
from edge.data.decode import decode_image
from edge.errors import DataError
from edge.vision.frame import Frame

_START = b"\xff\xd8"


def jpeg_frame(data: bytes, name: str, captured_ns: int) -> Frame | Broken:
    """The frame, RGB; Broken where no JPEG is, where its end is missing, and where it was cut and closed again.

    Bytes that are lost in its middle cannot be told from the pixels: the decoder mends them.
    """
    if not data.startswith(_START):
        return Broken(cause="decode error")
    try:
        image = decode_image(Path(name), data)
    except DataError:
        return Broken(cause="decode error")
    return Frame(image=image, format="rgb", name=name, captured_ns=captured_ns)
