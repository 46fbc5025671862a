"""Classification splits from a folder of images: with a label file, one folder per class, or no labels at all.

What a person would want to know of is in the split's notes: class folders without an image, images without a label,
lines that repeat one. Label files: `edge.data.label_file`; labels of which several may hold: `edge.data.label_table`.
"""

from dataclasses import replace
from pathlib import Path

from edge.data.class_names import ClassNames
from edge.data.decode import image_files
from edge.data.image_tree import image_tree, parts, subfolders
from edge.data.label_file import Line, is_image_name, read_label_file
from edge.data.label_table import read_label_table
from edge.data.listed_images import ListedImages
from edge.data.splits import Sample, Split
from edge.errors import DataError, UsageError, first_of, unknown_name
from edge.files.bounded_file import check_folder

MOST_CLASSES = 100_000
BACKGROUND = "background"  # 1001 outputs of ImageNet have it first, and most lists of labels count without it
# What a first column is called where a file names its columns; another name is told, for it may be an image's.
_COLUMN_NAMES = frozenset({"", "file", "filename", "name", "image", "img", "id", "path", "photo", "picture"})


def image_folder(folder: Path, labels: Path | None = None, classes: ClassNames | None = None) -> Split:
    """A split of the images in a folder.

    Args:
        folder: with `labels`, what the label file's names are relative to; without, a folder of class folders
            (classes in sorted order, unless `classes` gives theirs; images may lie deeper in them), or of images alone:
            a split without targets.
        labels: the label file; its order is the split's order, images it does not list are omitted.
        classes: names by index; None: class names in sorted order, or for index labels the numbers up to the highest.

    Refused: listed images that are missing or listed under two classes, a name outside the folder, an unknown class, a
    name that two classes have, an index out of range, an empty folder, one that is divided in train and val already.
    """
    check_folder(folder, error=DataError)
    if labels is not None:
        return _labelled(folder, labels, classes)
    if found := parts(folder):
        raise UsageError(
            f"{folder}: holds the splits {', '.join(path.name for path in found.values())}, not classes; name one of "
            f"them, such as {next(iter(found.values()))}"
        )
    trees = {path.name: image_tree(path) for path in subfolders(folder)}
    flat = image_files(folder)
    if any(trees.values()):
        if flat:
            more = f", as {len(flat) - 1} more do" if len(flat) > 1 else ""
            raise DataError(flat[0], f"lies beside class folders{more}; move it into one, or give a label file")
        split = _class_folders(folder, {name: tree for name, tree in trees.items() if tree}, classes)
        empty = [name for name, tree in trees.items() if not tree]
        return replace(split, notes=(f"without an image, and no class: {first_of(empty)}",)) if empty else split
    if not flat:
        raise DataError(folder, "no images in this folder")
    return Split(
        samples=tuple(Sample(name=path.name, image=path, target=None) for path in flat),
        task="images",
        origin=str(folder),
    )


def _class_folders(folder: Path, trees: dict[str, list[Path]], classes: ClassNames | None) -> Split:
    names = classes.names if classes else tuple(trees)
    index_of = _index_by_name(names, set(trees), folder)
    samples = []
    for name, tree in trees.items():
        if name not in names:
            raise DataError(folder / name, unknown_name("class", name, names))
        samples += [
            Sample(name=path.relative_to(folder).as_posix(), image=path, target=index_of[name]) for path in tree
        ]
    return Split(samples=tuple(samples), task="classify", classes=names, origin=str(folder))


def _labelled(folder: Path, labels: Path, classes: ClassNames | None) -> Split:
    images = ListedImages(folder)
    if table := read_label_table(labels, classes):
        lines = [Line(number=number, image=name, label="") for number, name, _ in table.rows]
        targets: list[int | tuple[int, ...]] = [truth for _, _, truth in table.rows]
        samples, notes = _samples(folder, labels, lines, targets, images)
        return Split(
            samples=samples,
            task="classify",
            classes=table.names,
            scores="independent",
            origin=str(labels),
            notes=tuple(notes),
        )
    lines = _images_first(read_label_file(labels), images)
    header = []
    if len(lines) > 1 and _is_header(lines, images):
        if lines[0].image.lower().partition("_")[0].partition(" ")[0] not in _COLUMN_NAMES:
            header = [f"line {lines[0].number} ({lines[0].image}, {lines[0].label}) is taken for names of columns"]
        lines = lines[1:]
    names, index_of, by_number = _classes(labels, lines, classes)
    for line in lines:
        if line.label not in index_of:
            raise DataError(labels, f"line {line.number}: {_unknown(line.label, names)}")
    counted = []
    if by_number and len(names) > 1 and names[0].strip().lower() == BACKGROUND:
        second = names[1].partition(",")[0]
        counted = [
            f"its numbers are indices of the classes: 0 = {names[0]}, 1 = {second}; to a list without {names[0]} add 1"
        ]
    samples, notes = _samples(folder, labels, lines, [index_of[line.label] for line in lines], images)
    return Split(samples=samples, task="classify", classes=names, origin=str(labels), notes=(*header, *counted, *notes))


def _samples(
    folder: Path, labels: Path, lines: list[Line], targets: list[int | tuple[int, ...]], images: ListedImages
) -> tuple[tuple[Sample, ...], list[str]]:
    """A sample per listed image; notes say how many lines repeat one, and which images of the folder have none."""
    found: dict[Path, tuple[Line, int | tuple[int, ...]]] = {}
    missing, repeated = [], 0
    for line, target in zip(lines, targets, strict=True):
        try:
            path = images.find(line.image)
        except DataError as error:
            raise DataError(labels, f"line {line.number}: {error.problem}") from None
        if path is None:
            missing.append(line)
        elif path not in found:
            found[path] = (line, target)
        elif found[path][1] == target:
            repeated += 1
        else:
            first = found[path][0]
            both = f": as '{first.label}' in line {first.number}, as '{line.label}' in line {line.number}"
            raise DataError(labels, f"'{line.image}' is listed twice{both if line.label else ''}; leave one of them")
    if missing:
        first = missing[0]
        problem = f"no such image{images.hint(first.image)}; {labels.name} line {first.number} lists it"
        if len(missing) > 1:
            others = first_of([line.image for line in missing[1:]])
            problem += f"; of its {len(lines)} lines {len(missing) - 1} more list missing ones: {others}"
        raise DataError(folder / first.image, problem)
    notes = [f"{repeated} lines repeat an image and its class; each image is taken once"] if repeated else []
    if without := images.without(set(found)):
        named = first_of([path.as_posix() for path in without])
        notes.append(f"{len(without)} images of {folder} have no line and are omitted: {named}")
    samples = [Sample(name=path.as_posix(), image=folder / path, target=target) for path, (_, target) in found.items()]
    return tuple(samples), notes


def _images_first(lines: list[Line], images: ListedImages) -> list[Line]:
    """The lines with the class last, also of a file that has it first: there all images stand in the second column."""
    last = lines[-1]
    if is_image_name(last.image) or not is_image_name(last.label):
        return lines
    return [Line(number=line.number, image=line.label, label=line.image) for line in lines]


def _is_header(lines: list[Line], images: ListedImages) -> bool:
    """Whether the first line names columns (`filename,label`): neither an image nor the class of another line."""
    first, others = lines[0], lines[1:]
    if is_image_name(first.image) or first.label.isdecimal() or first.label in {line.label for line in others}:
        return False
    return images.find(first.image) is None


def _classes(path: Path, lines: list[Line], classes: ClassNames | None) -> tuple[tuple[str, ...], dict[str, int], bool]:
    """The class names, the index of every label that stands for one of them, and whether labels are indices.

    A label that is a name of the classes is that name, also where names are numbers; numbers are indices only in a file
    in which no label is a name.
    """
    given = {line.label for line in lines}
    numbers = all(label.isdecimal() and len(label) <= len(str(MOST_CLASSES)) for label in given)
    if classes is None:
        if not numbers:
            names = tuple(sorted(given))
            return names, {name: index for index, name in enumerate(names)}, False
        highest = max(int(label) for label in given)
        if highest >= MOST_CLASSES:
            raise DataError(path, f"label {highest} is out of range; there are at most {MOST_CLASSES} classes")
        names = tuple(str(index) for index in range(1 + highest))
    else:
        names = classes.names
        if not numbers or given & set(names):
            return names, _index_by_name(names, given, path), False
    return names, {label: int(label) for label in given if int(label) < len(names)}, True


def _index_by_name(names: tuple[str, ...], given: set[str], where: Path) -> dict[str, int]:
    """The index of every name. Refuses (DataError, after `where`) a given name that more than one class has."""
    if several := sorted(name for name in given if names.count(name) > 1):
        indices = " and ".join(str(index) for index, name in enumerate(names) if name == several[0])
        raise DataError(where, f"'{several[0]}' is the name of the classes {indices}; give a label file of indices")
    return {name: index for index, name in enumerate(names)}


def _unknown(label: str, names: tuple[str, ...]) -> str:
    if label.isdecimal() and not any(name.isdecimal() for name in names):
        return f"label {label} is out of range; there are {len(names)} classes"
    return unknown_name("class", label, names)
