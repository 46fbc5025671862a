"""Segmentation splits from the published folders of Pascal VOC 2012 (Everingham et al., IJCV 2015)."""

from pathlib import Path

from edge.data.class_table import Colour
from edge.data.splits import Sample, Split
from edge.data.voc_list import listed_names
from edge.errors import DataError, UsageError, unknown_name
from edge.files.bounded_file import folder_entries, is_dir, is_file

VOC_CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
VOID = 255
"""The contours and difficult objects, which no metric counts."""


def pascal_voc(root: Path, part: str) -> Split:
    """Pascal VOC: the names of `ImageSets/Segmentation/<part>.txt`, in its order; 21 classes, contours ignored (255).

    Images are `JPEGImages/<name>.jpg`, masks the indices of the palette files `SegmentationClass/<name>.png`. A part
    whose name ends in `aug` (`trainaug`, the 10,582 images of Hariharan et al., ICCV 2011, which published results are
    trained on) has its masks in `SegmentationClassAug`.

    Args:
        root: the folder that holds these, such as `VOCdevkit/VOC2012`.
        part: `train`, `val`, `trainval`, or any other list that is there.
    """
    lists = root / "ImageSets" / "Segmentation"
    if not is_dir(lists):
        deeper = next((path for path in (root / "VOC2012", root / "VOCdevkit" / "VOC2012") if is_dir(path)), None)
        hint = "is this the right folder?" if deeper is None else f"name {deeper}"
        raise DataError(root, f"has no folder ImageSets/Segmentation; {hint}")
    listed = lists / f"{part}.txt"
    if not is_file(listed):
        parts = [path.stem for path in folder_entries(lists, error=DataError) if path.suffix == ".txt"]
        raise UsageError(f"{root}: {unknown_name('part', part, parts)}")
    masks = root / ("SegmentationClassAug" if part.endswith("aug") else "SegmentationClass")
    samples = []
    for name in listed_names(listed):
        image, mask = root / "JPEGImages" / f"{name}.jpg", masks / f"{name}.png"
        for what, path in (("image", image), ("mask", mask)):
            if not is_file(path):
                raise DataError(path, f"the {what} of {name} is missing, which {listed.name} lists")
        samples.append(Sample(name=image.name, image=image, target=mask))
    return Split(
        samples=tuple(samples),
        task="segment",
        classes=VOC_CLASSES,
        palette=tuple(voc_colour(index) for index in range(len(VOC_CLASSES))),
        ignore_index=VOID,
        origin=f"voc:{root}:{part}",
    )


def voc_colour(index: int) -> Colour:
    """The colour of a class in VOC's palette: bits 0, 1, 2 of the index, then 3, 4, 5, from each channel's top down.

    (VOCdevkit, `VOClabelcolormap.m`.)
    """
    channels = [0, 0, 0]
    for place in range(8):
        channels[place % 3] |= (index >> place & 1) << (7 - place // 3)
    red, green, blue = channels
    return red, green, blue
