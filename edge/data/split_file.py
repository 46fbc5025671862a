"""A split pinned in a file: relative paths, labels, boxes and a hash of every image and mask.

`NAME.split.json` is one JSON object:

    {
      "format": "edge-split", "version": 1,
      "task": "classify" | "segment" | "detect" | "images",
      "classes": ["sky", ...], "palette": [[70, 130, 180], ...],
      "scores": "independent",                            omitted where the classes exclude each other
      "ignore_index": 255 | null, "mask_table": [256 integers] | null,
      "mask_colours": [[70, 130, 180, 0], ...],  red, green, blue, class; omitted where the palette says it
      "sha256": "...",                                    the split's hash; refused when it is not that of the samples
      "samples": [
        {"name": "a.png", "image": "images/a.png", "image_sha256": "...", "label": 3},
        {"name": "b.png", "image": "images/b.png", "image_sha256": "...", "mask": "masks/b.png", "mask_sha256": "..."},
        {"name": "c.png", "image": "images/c.png", "image_sha256": "...", "labels": [1, 0, -1]},  (-1: unknown)
        {"name": "d.png", "image": "images/d.png", "image_sha256": "...", "boxes": [[4.0, 8.5, 60.0, 44.0, 2, false]]}
      ]
    }

A box is left, top, right, bottom in pixels, its class, and whether it is ignored. Paths are relative to the file, with
forward slashes, and lead to nothing outside its folder. A file that changed since is refused, by name, when it is read.
"""

import json
import os
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from edge.data.boxes import Box, BoxTarget
from edge.data.splits import Sample, Split, Target, Truth, content_hashes
from edge.errors import DataError, UsageError
from edge.files.atomic import write_text
from edge.files.bounded_file import read_text
from edge.port import Scores
from edge.strict import Strict, first_problem

SUFFIX = ".split.json"
MAX_SPLIT_BYTES = 1 << 30

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Byte = Annotated[int, Field(ge=0, le=255)]
_ByteOrRefused = Annotated[int, Field(ge=-1, le=255)]
_Box = tuple[float, float, float, float, int, bool]


class _Row(Strict):
    name: Annotated[str, Field(min_length=1)]
    image: Annotated[str, Field(min_length=1)]
    image_sha256: _Sha256
    label: Annotated[int, Field(ge=0)] | None = None
    labels: tuple[Annotated[int, Field(ge=-1, le=1)], ...] | None = None
    boxes: tuple[_Box, ...] | None = None
    mask: str | None = None
    mask_sha256: _Sha256 | None = None

    @model_validator(mode="after")
    def _one_target(self) -> "_Row":
        if (self.mask is None) != (self.mask_sha256 is None):
            raise ValueError("mask and mask_sha256 go together")
        if sum(target is not None for target in (self.label, self.labels, self.boxes, self.mask)) > 1:
            raise ValueError("give one of label, labels, boxes and mask")
        return self


class _SplitFile(Strict, strict=False):
    format: Literal["edge-split"]
    version: Literal[1]
    task: Literal["classify", "segment", "detect", "images"]
    classes: tuple[str, ...]
    scores: Scores = "exclusive"
    palette: tuple[tuple[_Byte, _Byte, _Byte], ...] = ()
    ignore_index: _Byte | None = None
    mask_table: tuple[_ByteOrRefused, ...] | None = None
    mask_colours: tuple[tuple[_Byte, _Byte, _Byte, _Byte], ...] = ()
    sha256: _Sha256
    samples: tuple[_Row, ...]


def read_split(path: Path) -> Split:
    """Open a pinned split file; images are read and compared with their hashes when they are asked for.

    Refused: what is no split file, an unknown key, a hash over the list that does not match, labels out of range.
    """
    text = read_text(path, most_bytes=MAX_SPLIT_BYTES, what="split file", error=DataError)
    try:
        data = _SplitFile.model_validate_json(text)
    except ValidationError as error:
        raise DataError(path, f"not a split file: {first_problem(error, _SplitFile)}") from None
    split = Split(
        samples=tuple(
            Sample(
                name=row.name,
                image=_inside(path, row.image),
                target=_target(path, row),
                image_sha256=row.image_sha256,
                mask_sha256=row.mask_sha256,
            )
            for row in data.samples
        ),
        task=data.task,
        classes=data.classes,
        scores=data.scores,
        palette=data.palette,
        ignore_index=data.ignore_index,
        mask_table=data.mask_table,
        mask_colours=data.mask_colours,
        origin=str(path),
    )
    if split.sha256 != data.sha256:
        raise DataError(path, f"its list was edited: sha256 {split.sha256[:12]}..., expected {data.sha256[:12]}...")
    return split


def _target(path: Path, row: _Row) -> Target:
    if row.boxes is not None:
        return BoxTarget(tuple(Box(*box) for box in row.boxes))
    if row.mask is not None:
        return _inside(path, row.mask)
    return row.label if row.labels is None else row.labels


def _inside(path: Path, name: str) -> Path:
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts:
        raise DataError(path, f"'{name}' lies outside the split file's folder")
    return path.parent / place


def write_split(split: Split, path: Path) -> None:
    """Pin a split of files: images and masks are hashed (a pinned one keeps its hash), paths made relative to `path`.

    Refused: a name that does not end in `.split.json`, drawn samples, which have no file, and files outside the folder
    of `path`.
    """
    if not path.name.endswith(SUFFIX):
        raise UsageError(f"{path}: a pinned split's name ends in {SUFFIX}")
    folder = Path(os.path.abspath(path)).parent
    lines = [json.dumps(_row(sample, folder), ensure_ascii=False) for sample in split.samples]
    head = {
        "format": "edge-split",
        "version": 1,
        "task": split.task,
        "classes": split.classes,
        **({"scores": split.scores} if split.scores != "exclusive" else {}),
        "palette": split.palette,
        "ignore_index": split.ignore_index,
        "mask_table": split.mask_table,
        **({"mask_colours": split.mask_colours} if split.mask_colours else {}),
        "sha256": split.sha256,
    }
    fields = "".join(f'  "{key}": {json.dumps(value, ensure_ascii=False)},\n' for key, value in head.items())
    write_text(path, "{\n" + fields + '  "samples": [\n    ' + ",\n    ".join(lines) + "\n  ]\n}\n")


def _row(sample: Sample, folder: Path) -> dict[str, str | int | Truth | tuple[Box, ...]]:
    if not isinstance(sample.image, Path):
        raise UsageError(f"sample '{sample.name}' is drawn, not a file; save the images first")
    image_sha256, target_hash = content_hashes(sample)
    row: dict[str, str | int | Truth | tuple[Box, ...]] = {
        "name": sample.name,
        "image": _relative(sample.image, folder),
        "image_sha256": image_sha256,
    }
    if isinstance(sample.target, int):
        row["label"] = sample.target
    elif isinstance(sample.target, tuple):
        row["labels"] = sample.target
    elif isinstance(sample.target, BoxTarget):
        row["boxes"] = sample.target.boxes
    elif isinstance(sample.target, Path):
        row |= {"mask": _relative(sample.target, folder), "mask_sha256": target_hash}
    return row


def _relative(path: Path, folder: Path) -> str:
    """Links within the folder are kept, so that what they name may lie elsewhere."""
    relative = Path(os.path.relpath(os.path.abspath(path), folder)).as_posix()
    if relative.startswith("../"):
        raise UsageError(f"{path}: lies outside {folder}, where its split file is to be; write that beside the images")
    return relative
