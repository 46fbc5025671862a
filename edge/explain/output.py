"""What is written of attributions: the picture, and the raw arrays."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.explain.explain_image import per_channel, summed
from edge.explain.integrated_gradients import Attribution
from edge.explain.picture import draw_attributions
from edge.files.atomic import write_bytes
from edge.vision.picture_file import write_picture
from edge.vision.pixels import Pixels
from edge.vision.preprocess import Preprocess


@dataclass(frozen=True, kw_only=True)
class Written:
    """Where they lie: a PNG, float32 (height, width) of the model's input, and (height, width, 3), red, green, blue."""

    picture: Path
    array: Path
    channels: Path


def write_attributions(
    folder: Path, stem: str, frame: Pixels, attribution: Attribution, preprocess: Preprocess
) -> Written:
    """Write STEM.png, STEM.npy and STEM.channels.npy into a folder that is there."""
    channels = per_channel(attribution, preprocess)
    written = Written(
        picture=folder / f"{stem}.png", array=folder / f"{stem}.npy", channels=folder / f"{stem}.channels.npy"
    )
    write_picture(written.picture, draw_attributions(frame, summed(attribution), preprocess))
    write_array(written.array, summed(attribution))
    write_array(written.channels, channels)
    return written


def write_array(path: Path, values: NDArray[np.float32]) -> None:
    """Write an array as numpy's .npy, whole. Refuses (FileError) what cannot be written."""
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    write_bytes(path, buffer.getvalue())
