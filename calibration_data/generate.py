"""Write the generated set that lies in this folder: `python calibration_data/generate.py [-o FOLDER]`.

32 street objects and 16 street scenes with masks, from the seeds of the generator's `calibration` part, their pinned
split files, and SHA256SUMS. Running it again gives the same pixels; the bytes of a file depend on the image encoder.
"""

import hashlib
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data.class_names import ClassNames
from edge.data.generated import generated_split
from edge.data.image_folder import image_folder
from edge.data.mask_folder import mask_folder
from edge.data.split_file import write_split
from edge.files.atomic import write_bytes, write_text

OBJECTS = 32
SCENES = 16
JPEG_QUALITY = 92


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file of RGB (h, w, 3) or class indices (h, w)."""
    ordered = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".png", ordered, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1])


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """A JPEG file of RGB (h, w, 3)."""
    return bytes(cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1])


def write_objects(folder: Path) -> None:
    """classify/images/*.png, classify/labels.tsv, classify/classes.txt, classify.split.json."""
    split = generated_split("classify", "calibration", OBJECTS)
    images = folder / "classify" / "images"
    images.mkdir(parents=True, exist_ok=True)
    lines = []
    for index in range(len(split)):
        name = f"{split.name(index)}.png"
        write_bytes(images / name, png(split.image(index)))
        lines.append(f"{name}\t{split.label(index)}\n")
    write_text(folder / "classify" / "labels.tsv", "".join(lines))
    write_text(folder / "classify" / "classes.txt", "".join(f"{name}\n" for name in split.classes))
    pinned = image_folder(images, folder / "classify" / "labels.tsv", ClassNames(names=split.classes))
    write_split(pinned, folder / "classify.split.json")


def write_scenes(folder: Path) -> None:
    """segment/images/*.jpg, segment/masks/*.png, segment/classes.txt, segment.split.json."""
    split = generated_split("segment", "calibration", SCENES)
    images, masks = folder / "segment" / "images", folder / "segment" / "masks"
    images.mkdir(parents=True, exist_ok=True)
    masks.mkdir(parents=True, exist_ok=True)
    for index in range(len(split)):
        write_bytes(images / f"{split.name(index)}.jpg", jpeg(split.image(index)))
        write_bytes(masks / f"{split.name(index)}.png", png(split.mask(index)))
    rows = enumerate(zip(split.classes, split.palette, strict=True))
    write_text(
        folder / "segment" / "classes.txt",
        "".join(f"{index}\t{name}\t{red},{green},{blue}\n" for index, (name, (red, green, blue)) in rows),
    )
    classes = ClassNames(names=split.classes, palette=split.palette)
    write_split(mask_folder(images, masks, classes), folder / "segment.split.json")


def write_sums(folder: Path) -> None:
    """SHA256SUMS over everything generated, for `sha256sum --check`."""
    generated = [path for task in ("classify", "segment") for path in (folder / task).rglob("*") if path.is_file()]
    generated += [folder / f"{task}.split.json" for task in ("classify", "segment")]
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted(generated)
    ]
    write_text(folder / "SHA256SUMS", "".join(lines))


@click.command()
@click.option("-o", "folder", type=click.Path(path_type=Path, file_okay=False), help="Default: this script's folder.")
def main(folder: Path | None) -> None:
    """Write the generated calibration set."""
    chosen = folder or Path(__file__).resolve().parent
    chosen.mkdir(parents=True, exist_ok=True)
    write_objects(chosen)
    write_scenes(chosen)
    write_sums(chosen)
    click.echo(f"{OBJECTS} objects and {SCENES} scenes in {chosen}", err=True)


if __name__ == "__main__":
    main()
