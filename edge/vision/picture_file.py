"""Pictures as files: one, or several beside one another with a line of text each."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edge.errors import FileError
from edge.files.atomic import write_bytes
from edge.vision.overlay import draw_line
from edge.vision.pixels import Pixels


def write_side_by_side(path: Path, pictures: Sequence[tuple[str, Pixels]]) -> None:
    """Write pictures of the same size beside one another, each with its line of text."""
    write_picture(path, np.concatenate([draw_line(picture, text) for text, picture in pictures], axis=1))


def write_picture(path: Path, rgb: Pixels) -> None:
    """Write RGB uint8 (h, w, 3) as PNG, whole. Refuses (FileError) what cannot be written."""
    done, data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    if not done:
        raise FileError(path, f"a picture of {rgb.shape} cannot be encoded as PNG")
    write_bytes(path, data.tobytes())
