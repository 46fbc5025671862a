"""Classification splits from a folder of images: with a label file, one folder per class, or no labels at all.

A label file has one image per line: file name, then class index or class name, separated by a tab, else a comma, else
white space (the last one on the line: names may hold spaces, commas and apostrophes). `#` opens a comment line.
"""

from pathlib import Path, PurePosixPath

from edge.data.class_names import ClassNames, read_text
from edge.data.decode import image_files
from edge.data.splits import Sample, Split
from edge.errors import DataError, unknown_name


def image_folder(folder: Path, labels: Path | None = None, classes: ClassNames | None = None) -> Split:
    """A split of the images in a folder.

    Args:
        folder: with `labels`, what the label file's names are relative to; without, a folder of class folders
            (classes in sorted order, unless `classes` gives theirs), or of images alone: a split without targets.
        labels: the label file; its order is the split's order, images it does not list are left out.
        classes: names by index; None: class names in sorted order, or for index labels the numbers up to the highest.

    Refused: a listed image that is missing or listed twice, a name outside the folder, an unknown class, an index out
    of range, an empty folder.
    """
    if not folder.is_dir():
        raise DataError(folder, "no such folder" if not folder.exists() else "not a folder")
    if labels is not None:
        return _labelled(folder, labels, classes)
    subfolders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
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
    samples = []
    for subfolder in subfolders:
        if subfolder.name not in names:
            raise DataError(subfolder, unknown_name("class", subfolder.name, names))
        label = names.index(subfolder.name)
        samples += [
            Sample(name=f"{subfolder.name}/{path.name}", image=path, target=label) for path in image_files(subfolder)
        ]
    return Split(samples=tuple(samples), task="classify", classes=names, origin=str(folder))


def _labelled(folder: Path, labels: Path, classes: ClassNames | None) -> Split:
    rows = _read_rows(labels)
    if classes is not None:
        names = classes.names
    elif all(label.isdecimal() for _, _, label in rows):
        names = tuple(str(index) for index in range(1 + max(int(label) for _, _, label in rows)))
    else:
        names = tuple(sorted({label for _, _, label in rows}))
    index_of = {name: index for index, name in enumerate(names)}
    by_name = any(not label.isdecimal() for _, _, label in rows)
    samples = []
    for number, name, label in rows:
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts:
            raise DataError(labels, f"line {number}: '{name}' lies outside the images' folder")
        if not (folder / place).is_file():
            raise DataError(folder / place, f"no such image; {labels.name} line {number} lists it")
        if by_name and label not in index_of:
            raise DataError(labels, f"line {number}: {unknown_name('class', label, names)}")
        index = index_of[label] if by_name else int(label)
        if index >= len(names):
            raise DataError(labels, f"line {number}: label {index} is out of range; there are {len(names)} classes")
        samples.append(Sample(name=place.as_posix(), image=folder / place, target=index))
    return Split(samples=tuple(samples), task="classify", classes=names, origin=str(labels))


def _read_rows(path: Path) -> list[tuple[int, str, str]]:
    """(line number, file name, label) of every line of a label file."""
    lines = [
        (number, line.rstrip("\r"))
        for number, line in enumerate(read_text(path).split("\n"), start=1)
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
