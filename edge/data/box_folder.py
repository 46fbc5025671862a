"""Detection splits from a folder of images and the boxes of COCO, Pascal VOC or YOLO, as people have them.

```text
--boxes FILE.json            COCO: one file for all images
--boxes Annotations          Pascal VOC: a folder of XML files, called like their images
--boxes ImageSets/Main/train.txt    the names of those to take, of the folder Annotations two above the list
--boxes labels/train         YOLO: a folder of text files, called like their images
```
"""

from pathlib import Path

from edge.data.box_paths import BoxPaths
from edge.data.class_names import ClassNames
from edge.data.coco_boxes import read_coco
from edge.data.given_boxes import GivenImage, box_samples
from edge.data.image_tree import file_tree
from edge.data.splits import Split
from edge.data.voc_boxes import SUFFIX as XML
from edge.data.voc_boxes import read_voc
from edge.data.voc_list import listed_names
from edge.data.yolo_boxes import SUFFIX as TEXT
from edge.data.yolo_boxes import read_yolo, renumbered
from edge.data.yolo_names import LISTS, YAML_SUFFIXES, find_names, read_names
from edge.errors import DataError, UsageError, first_of
from edge.files.bounded_file import check_folder, folder_entries, is_dir, is_file

ANNOTATIONS = "Annotations"
_JSON = ".json"
_ASIDE = frozenset({*LISTS, "labels.txt", "readme.txt", "readme.roboflow.txt", "readme.dataset.txt"})
Stems = list[tuple[str, Path]]


def box_folder(folder: Path, boxes: Path, classes: ClassNames | None = None) -> Split:
    """A split of the images in a folder that a file or folder of boxes is about.

    Args:
        classes: names by index; None: those of the file, as each format has them. Where the files of boxes have names
            of their own, a class is found by its name.

    Refused (DataError, UsageError): what the readers refuse, images that are missing, an image given twice, a folder
    without files of boxes or with those of two formats.
    """
    check_folder(folder, error=DataError)
    images = BoxPaths(folder)
    notes: list[str] = []
    if not is_dir(boxes):
        given, names, notes = _of_file(boxes, images, classes)
    else:
        files = _files(boxes)
        kinds = sorted({path.suffix.lower() for _, path in files})
        if len(kinds) > 1:
            raise DataError(boxes, f"holds {' and '.join(kinds)} files of boxes; name a folder of one kind")
        if kinds == [XML]:
            given, names = read_voc(files, images, classes)
        else:
            own = find_names(boxes)
            known = classes if own is None else read_names(own)
            given, names, notes = read_yolo(files, images, None if known is None else known.names)
            if classes is not None and own is not None:
                given, names = renumbered(given, names, classes.names), list(classes.names)
            notes += [f"class names: {own}"] if own else []
            others = images.take_others()
            if others:
                named = first_of([path.as_posix() for path in others])
                notes.append(f"{len(others)} images have no text file and so no boxes: {named}")
            given += [GivenImage(file=boxes, path=path, size_wh=None, boxes=()) for path in others]
    images.refuse_missing()
    if not names:
        raise DataError(boxes, "has no box and names no class: there is nothing to find")
    samples, more = box_samples(folder, given)
    return Split(
        samples=samples,
        task="detect",
        classes=tuple(names),
        origin=str(boxes),
        notes=(*images.notes(), *notes, *more),
    )


def _of_file(path: Path, images: BoxPaths, classes: ClassNames | None) -> tuple[list[GivenImage], list[str], list[str]]:
    suffix = path.suffix.lower()
    if suffix == XML:
        raise UsageError(f"{path}: is of one image; name the folder of the XML files: {path.parent}")
    if suffix in YAML_SUFFIXES:
        raise UsageError(f"{path}: names classes, for --classes; boxes are in the folder of text files, such as labels")
    if suffix != TEXT:
        return read_coco(path, images, classes)
    annotations = path.parent.parent.parent / ANNOTATIONS
    files = [(name, annotations / f"{name}{XML}") for name in listed_names(path)]
    if absent := next((file for _, file in files if not is_file(file)), None):
        raise DataError(absent, f"no such file; {path.name} lists '{absent.stem}'")
    return (*read_voc(files, images, classes), [])


def _files(folder: Path) -> Stems:
    """The files of boxes in a folder and below it, each with its path in it without the ending."""
    found = [(path.relative_to(folder).with_suffix("").as_posix(), path) for path in file_tree(folder, _box_files)]
    if found:
        return found
    for deeper in (folder / ANNOTATIONS, folder / "labels"):
        if is_dir(deeper):
            raise DataError(folder, f"holds no files of boxes; name {deeper}")
    files = [path.name for path in folder_entries(folder, error=DataError) if path.suffix.lower() == _JSON]
    if len(files) == 1:
        raise DataError(folder, f"holds no .xml or .txt files; name the file {folder / files[0]} for COCO's")
    there = f"; {first_of(files, most=3)} are there, of which one file for all images would be COCO's" if files else ""
    raise DataError(folder, f"holds no files of boxes: .xml of Pascal VOC or .txt of YOLO{there}")


def _box_files(folder: Path) -> list[Path]:
    return [
        path
        for path in folder_entries(folder, error=DataError)
        if path.suffix.lower() in (XML, TEXT)
        and path.name.lower() not in _ASIDE
        and not path.name.startswith(".")
        and is_file(path)
    ]
