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

from edge.atomic import write_bytes, write_text
from edge.data.class_names import ClassNames
from edge.data.generated import generated_split
from edge.data.image_folder import image_folder
from edge.data.scenes import mask_folder
from edge.data.split_file import write_split

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
    """objects/*.png, objects.tsv, objects.split.json."""
    split = generated_split("classify", "calibration", OBJECTS)
    (folder / "objects").mkdir(parents=True, exist_ok=True)
    lines = []
    for index in range(len(split)):
        name = f"{split.name(index)}.png"
        write_bytes(folder / "objects" / name, png(split.image(index)))
        lines.append(f"{name}\t{split.label(index)}\n")
    write_text(folder / "objects.tsv", "".join(lines))
    write_text(folder / "objects.classes.txt", "".join(f"{name}\n" for name in split.classes))
    pinned = image_folder(folder / "objects", folder / "objects.tsv", ClassNames(names=split.classes))
    write_split(pinned, folder / "objects.split.json")


def write_scenes(folder: Path) -> None:
    """scenes/images/*.jpg, scenes/masks/*.png, scenes.classes.txt, scenes.split.json."""
    split = generated_split("segment", "calibration", SCENES)
    images, masks = folder / "scenes" / "images", folder / "scenes" / "masks"
    images.mkdir(parents=True, exist_ok=True)
    masks.mkdir(parents=True, exist_ok=True)
    for index in range(len(split)):
        write_bytes(images / f"{split.name(index)}.jpg", jpeg(split.image(index)))
        write_bytes(masks / f"{split.name(index)}.png", png(split.mask(index)))
    rows = enumerate(zip(split.classes, split.palette, strict=True))
    write_text(
        folder / "scenes.classes.txt",
        "".join(f"{index}\t{name}\t{red},{green},{blue}\n" for index, (name, (red, green, blue)) in rows),
    )
    classes = ClassNames(names=split.classes, palette=split.palette)
    write_split(mask_folder(images, masks, classes), folder / "scenes.split.json")


def write_sums(folder: Path) -> None:
    """SHA256SUMS over everything generated, for `sha256sum --check`."""
    generated = [path for name in ("objects", "scenes") for path in folder.rglob(f"{name}*") if path.is_file()]
    generated += [path for name in ("objects", "scenes") for path in (folder / name).rglob("*") if path.is_file()]
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted(set(generated))
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
