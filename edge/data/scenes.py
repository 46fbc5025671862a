"""Segmentation splits from the published folders of CamVid and Cityscapes."""

from pathlib import Path

from edge.data.class_names import read_class_names
from edge.data.class_table import Colour
from edge.data.decode import image_files
from edge.data.mask_folder import paired_split
from edge.data.mask_pairs import mask_pairs
from edge.data.splits import Sample, Split
from edge.errors import DataError, UsageError, unknown_name
from edge.files.bounded_file import folder_entries, is_dir, is_file

# Cordts et al., CVPR 2016; cityscapesScripts, helpers/labels.py: (name, label id, colour) in train id order.
_CITYSCAPES: tuple[tuple[str, int, Colour], ...] = (
    ("road", 7, (128, 64, 128)),
    ("sidewalk", 8, (244, 35, 232)),
    ("building", 11, (70, 70, 70)),
    ("wall", 12, (102, 102, 156)),
    ("fence", 13, (190, 153, 153)),
    ("pole", 17, (153, 153, 153)),
    ("traffic light", 19, (250, 170, 30)),
    ("traffic sign", 20, (220, 220, 0)),
    ("vegetation", 21, (107, 142, 35)),
    ("terrain", 22, (152, 251, 152)),
    ("sky", 23, (70, 130, 180)),
    ("person", 24, (220, 20, 60)),
    ("rider", 25, (255, 0, 0)),
    ("car", 26, (0, 0, 142)),
    ("truck", 27, (0, 0, 70)),
    ("bus", 28, (0, 60, 100)),
    ("train", 31, (0, 80, 100)),
    ("motorcycle", 32, (0, 0, 230)),
    ("bicycle", 33, (119, 11, 32)),
)
_CITYSCAPES_IGNORE = 255


def camvid(root: Path, part: str) -> Split:
    """CamVid in the SegNet layout: `<part>/` and `<part>annot/` with the same base names, and `classes.txt`.

    Args:
        root: the folder that holds them.
        part: `train`, `val`, or any other part that is there.

    Returns:
        A split whose void class (the last line of classes.txt, 11) is ignored.
    """
    classes = read_class_names(root / "classes.txt")
    if classes.ignore_index is None:
        raise DataError(root / "classes.txt", "the last class must be Void")
    if not is_dir(root / part):
        raise _no_part(
            root,
            part,
            [path.name for path in folder_entries(root, error=DataError) if path.name.endswith("annot")],
            suffix="annot",
        )
    return paired_split(mask_pairs(root / part, root / f"{part}annot"), classes, origin=f"camvid:{root}:{part}")


def cityscapes(root: Path, part: str) -> Split:
    """Cityscapes: `leftImg8bit/<part>/<city>/` and `gtFine/<part>/<city>/`, 19 train ids, the rest ignored (255).

    A `_gtFine_labelTrainIds.png` is used where it exists, else `_gtFine_labelIds.png` mapped to train ids; a split
    must have one of the two for all its images.
    """
    images_root, masks_root = root / "leftImg8bit" / part, root / "gtFine" / part
    if not is_dir(images_root):
        raise _no_part(root, part, [path.name for path in folder_entries(root / "leftImg8bit", error=DataError)])
    cities = [city for city in folder_entries(images_root, error=DataError) if is_dir(city)]
    images = [image for city in cities for image in image_files(city)]
    stems = [image.relative_to(images_root).as_posix().removesuffix("_leftImg8bit.png") for image in images]
    if not images:
        raise DataError(images_root, "no images in its city folders")
    by_train_id = is_file(masks_root / f"{stems[0]}_gtFine_labelTrainIds.png")
    ending = "_gtFine_labelTrainIds.png" if by_train_id else "_gtFine_labelIds.png"
    samples = []
    for image, stem in zip(images, stems, strict=True):
        mask = masks_root / f"{stem}{ending}"
        if not is_file(mask):
            raise DataError(mask, f"the mask of {image.name} is missing")
        samples.append(Sample(name=f"{stem}_leftImg8bit.png", image=image, target=mask))
    table = [_CITYSCAPES_IGNORE] * 256
    for train_id, (_, label_id, _) in enumerate(_CITYSCAPES):
        table[label_id] = train_id
    return Split(
        samples=tuple(samples),
        task="segment",
        classes=tuple(name for name, _, _ in _CITYSCAPES),
        palette=tuple(colour for _, _, colour in _CITYSCAPES),
        ignore_index=_CITYSCAPES_IGNORE,
        mask_table=None if by_train_id else tuple(table),
        origin=f"cityscapes:{root}:{part}",
    )


def _no_part(root: Path, part: str, found: list[str], suffix: str = "") -> DataError | UsageError:
    parts = [name.removesuffix(suffix) for name in found]
    if not parts:
        return DataError(root, f"has no part '{part}' and no other; is this the right folder?")
    return UsageError(f"{root}: {unknown_name('part', part, parts)}")
