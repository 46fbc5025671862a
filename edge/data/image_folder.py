"""Classification splits from a folder of images: with a label file, one folder per class, or no labels at all.

A label file has one image per line: file name, then class index or class name, separated by a tab, else a comma, else
white space (the last one on the line: names may hold spaces, commas and apostrophes). `#` opens a comment line; a first
line that names columns (`filename,label`) is passed over. Labels of which several may hold: `edge.data.label_table`.
"""

from pathlib import Path, PurePosixPath

from edge.bounded_file import check_folder, folder_entries, is_dir, is_file
from edge.data.class_names import ClassNames
from edge.data.class_table import read_lines
from edge.data.decode import IMAGE_SUFFIXES, image_files
from edge.data.label_table import read_label_table
from edge.data.splits import Sample, Split
from edge.errors import DataError, unknown_name

MOST_CLASSES = 100_000


def image_folder(folder: Path, labels: Path | None = None, classes: ClassNames | None = None) -> Split:
    """A split of the images in a folder.

    Args:
        folder: with `labels`, what the label file's names are relative to; without, a folder of class folders
            (classes in sorted order, unless `classes` gives theirs), or of images alone: a split without targets.
        labels: the label file; its order is the split's order, images it does not list are left out.
        classes: names by index; None: class names in sorted order, or for index labels the numbers up to the highest.

    Refused: a listed image that is missing or listed twice, a name outside the folder, an unknown class, a name that
    two classes have, an index out of range, an empty folder.
    """
    check_folder(folder, error=DataError)
    if labels is not None:
        return _labelled(folder, labels, classes)
    entries = folder_entries(folder, error=DataError)
    subfolders = [path for path in entries if is_dir(path) and not path.name.startswith(".")]
    filled = [path for path in subfolders if image_files(path)]
    flat = image_files(folder)
    if filled and flat:
        raise DataError(flat[0], "lies beside class folders; move it into one, or give a label file")
    if filled:
        return _class_folders(folder, filled, classes)
    if not flat:
        raise DataError(folder, "no images in this folder")
    return Split(
        samples=tuple(Sample(name=path.name, image=path, target=None) for path in flat),
        task="images",
        origin=str(folder),
    )


def _class_folders(folder: Path, subfolders: list[Path], classes: ClassNames | None) -> Split:
    names = classes.names if classes else tuple(path.name for path in subfolders)
    index_of = _index_by_name(names, {path.name for path in subfolders}, folder)
    samples = []
    for subfolder in subfolders:
        if subfolder.name not in names:
            raise DataError(subfolder, unknown_name("class", subfolder.name, names))
        label = index_of[subfolder.name]
        samples += [
            Sample(name=f"{subfolder.name}/{path.name}", image=path, target=label) for path in image_files(subfolder)
        ]
    return Split(samples=tuple(samples), task="classify", classes=names, origin=str(folder))


def _labelled(folder: Path, labels: Path, classes: ClassNames | None) -> Split:
    if table := read_label_table(labels, classes):
        samples = [
            Sample(name=path.as_posix(), image=folder / path, target=truth)
            for number, name, truth in table.rows
            for path in [_listed(folder, labels, number, name)]
        ]
        return Split(
            samples=tuple(samples), task="classify", classes=table.names, scores="independent", origin=str(labels)
        )
    rows = _read_rows(labels)
    if _is_header(folder, rows[0][1]) and len(rows) > 1:
        rows = rows[1:]
    names, index_of = _classes(labels, rows, classes)
    samples = []
    for number, name, label in rows:
        place = _listed(folder, labels, number, name)
        if label not in index_of:
            raise DataError(labels, f"line {number}: {_unknown(label, names)}")
        samples.append(Sample(name=place.as_posix(), image=folder / place, target=index_of[label]))
    return Split(samples=tuple(samples), task="classify", classes=names, origin=str(labels))


def _listed(folder: Path, labels: Path, number: int, name: str) -> PurePosixPath:
    """The path of an image that a line lists, relative to the folder."""
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts:
        raise DataError(labels, f"line {number}: '{name}' lies outside the images' folder")
    if not is_file(folder / place):
        raise DataError(folder / place, f"no such image; {labels.name} line {number} lists it")
    return place


def _is_header(folder: Path, name: str) -> bool:
    """Whether a first line names columns (`filename,label`): no image by its suffix, and no file."""
    return PurePosixPath(name).suffix.lower() not in IMAGE_SUFFIXES and not is_file(folder / name)


def _classes(
    path: Path, rows: list[tuple[int, str, str]], classes: ClassNames | None
) -> tuple[tuple[str, ...], dict[str, int]]:
    """The class names, and the index of every label that stands for one of them.

    A label that is a name of the classes is that name, also where names are numbers; numbers are indices only in a file
    in which no label is a name.
    """
    given = {label for _, _, label in rows}
    numbers = all(label.isdecimal() and len(label) <= len(str(MOST_CLASSES)) for label in given)
    if classes is None:
        if not numbers:
            names = tuple(sorted(given))
            return names, {name: index for index, name in enumerate(names)}
        highest = max(int(label) for label in given)
        if highest >= MOST_CLASSES:
            raise DataError(path, f"label {highest} is out of range; there are at most {MOST_CLASSES} classes")
        names = tuple(str(index) for index in range(1 + highest))
    else:
        names = classes.names
        if not numbers or given & set(names):
            return names, _index_by_name(names, given, path)
    return names, {label: int(label) for label in given if int(label) < len(names)}


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


def _read_rows(path: Path) -> list[tuple[int, str, str]]:
    """(line number, file name, label) of every line of a label file."""
    lines = [
        (number, line)
        for number, line in enumerate(read_lines(path, what="label file"), start=1)
        if line.strip() and not line.startswith("#")
    ]
    if not lines:
        raise DataError(path, "no labels")
    if any("\t" in line for _, line in lines):
        separator: str | None = "\t"
    else:
        separator = "," if all("," in line for _, line in lines) else None
    rows = []
    for number, line in lines:
        parts = line.rsplit(separator, 1)
        if len(parts) != 2 or not parts[0].strip() or not parts[1].strip():
            raise DataError(path, f"line {number}: expected 'file<TAB>class', found '{line[:60]}'")
        rows.append((number, parts[0].strip(), parts[1].strip()))
    return rows
