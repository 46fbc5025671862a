"""Boxes of Pascal VOC's XML files, one per image (Everingham et al., IJCV 2010; VOCdevkit, section "Annotation").

`xmin`, `ymin`, `xmax`, `ymax` are the edges of the box, as the tools that write such files today mean them (LabelImg,
CVAT, Label Studio): the left edge of an image is 0 and its width xmax - xmin. The published files of VOC itself count
pixels from 1 and name the last one inside; they say so (`<source><annotation>PASCAL VOC2007`), and 1 is taken from
their xmin and ymin.
"""

from pathlib import Path

from edge.data.box_paths import BoxPaths
from edge.data.class_names import ClassNames
from edge.data.given_boxes import GivenBox, GivenImage
from edge.data.image_size import Edges
from edge.data.xml_tree import Element, read_xml
from edge.errors import DataError, unknown_name

SUFFIX = ".xml"
_ROOT = "annotation"
_PUBLISHED = "pascal voc"
_EDGES = ("xmin", "ymin", "xmax", "ymax")
_YES = {"1": True, "0": False, "": False, "true": True, "false": False, "unspecified": False}
Named = list[tuple[str, Edges, bool, str]]


def read_voc(
    files: list[tuple[str, Path]], images: BoxPaths, classes: ClassNames | None = None
) -> tuple[list[GivenImage], list[str]]:
    """The images of XML files, in their order, and the class names. Difficult objects are ignored boxes.

    Args:
        files: (path without its ending, by which the image is found; else `filename` in it names it) and file.
        classes: the classes, in this order; None: all names of objects, sorted.

    Refused (DataError): what is no XML of VOC, an object without name or `bndbox`, text where a number belongs, a name
    that is not among `classes`.
    """
    read = []
    for stem, file in files:
        root = read_xml(file)
        if root.tag != _ROOT:
            raise DataError(file, f"is <{root.tag[:40]}>, not <{_ROOT}> of Pascal VOC")
        objects = _objects(file, root)
        named = root.value("filename")
        found = images.find(file, "filename", named) if named and not images.has(stem) else images.find(file, "", stem)
        read.append((file, found, _size(file, root), objects))
    given = {name for *_, objects in read for _, _, _, name in objects}
    names = tuple(sorted(given)) if classes is None else classes.names
    labels = {name: label for label, name in enumerate(names)}
    result = []
    for file, found, size, objects in read:
        boxes = []
        for where, edges, ignored, name in objects:
            if name not in labels:
                raise DataError(file, f"{where}: {unknown_name('class', name, names)}")
            boxes.append(GivenBox(where=where, edges=edges, label=labels[name], ignored=ignored))
        if found is not None:
            result.append(GivenImage(file=file, path=found, size_wh=size, boxes=tuple(boxes)))
    return result, list(names)


def _objects(file: Path, root: Element) -> Named:
    source = root.first("source")
    published = source is not None and source.value("annotation").lower().startswith(_PUBLISHED)
    found: Named = []
    for element in root.all("object"):
        where = f"line {element.line}"
        name, box = element.value("name"), element.first("bndbox")
        if not name:
            raise DataError(file, f"{where}: an object without a name")
        if box is None:
            others = ", ".join(child.tag for child in element.children)
            raise DataError(file, f"{where}: '{name[:60]}' has no bndbox, but {others[:200] or 'nothing'}")
        left, top, right, bottom = (_number(file, box, tag) for tag in _EDGES)
        first = 1.0 if published else 0.0
        difficult = element.value("difficult").lower()
        if difficult not in _YES:
            raise DataError(file, f"{where}: difficult is '{difficult[:40]}'; expected 0 or 1")
        found.append((where, (left - first, top - first, right, bottom), _YES[difficult], name))
    return found


def _number(file: Path, box: Element, tag: str) -> float:
    text = box.value(tag)
    try:
        return float(text)
    except ValueError:
        found = f"'{text[:40]}'" if box.first(tag) else "missing"
        raise DataError(file, f"line {box.line}: {tag} is {found}; expected a number of pixels") from None


def _size(file: Path, root: Element) -> tuple[int, int] | None:
    size = root.first("size")
    if size is None:
        return None
    width, height = (_number(file, size, tag) for tag in ("width", "height"))
    if not (width.is_integer() and height.is_integer()):
        raise DataError(file, f"line {size.line}: a size of {width:g} x {height:g} pixels; expected whole numbers")
    return (int(width), int(height)) if width or height else None
