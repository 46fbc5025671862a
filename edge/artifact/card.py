"""The card: what a foreign model file cannot say itself, as a TOML file.

```toml
task = "classify"                # classify, segment or detect
scores = "exclusive"             # or "independent": several labels may hold; where the model does not show it
values = "logits"                # or "probabilities"; where the model does not show it; of a finished file "class_map"
output = "Identity"              # a finished file with several outputs: the one to use, by name or place (0, 1, ...)

[preprocess]                     # every key is needed, nothing is guessed
colour_order = "rgb"
height = 224
width = 224
interpolation = "bilinear"
fit = "crop"
crop_fraction = 0.875
mean = [127.5, 127.5, 127.5]
std = [127.5, 127.5, 127.5]

[labels]
file = "labels.txt"              # one name a line, beside the card; or names = ["cat", "dog"]
palette = [[0, 0, 0], [255, 0, 0]]   # segmenters: one colour per class, optional
ignore_index = 255                   # optional
```

A detector's has a section `[detection]` too: `edge.artifact.card_detection`.
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from edge.artifact.card_detection import CardDetection, Output
from edge.artifact.model_file import Labels
from edge.errors import FileError, RecipeError
from edge.files.bounded_file import read_text
from edge.port import Scores
from edge.strict import Strict, first_problem
from edge.terminal import tell
from edge.vision.pixel_scale import pixel_scale_doubt
from edge.vision.preprocess import Preprocess

MAX_CARD_BYTES = 1024 * 1024
OPEN = "FILL IN"
"""The value of a key that a begun card leaves to a person."""
CardTask = Literal["classify", "segment", "detect"]
CardValues = Literal["logits", "probabilities", "class_map"]
Channel = Annotated[int, Field(ge=0, le=255)]


class CardLabels(Strict):
    """Class names in index order, given here or in a file of one name a line beside the card."""

    names: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    file: str | None = None
    palette: tuple[tuple[Channel, Channel, Channel], ...] | None = None
    ignore_index: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "CardLabels":
        if (self.names is None) == (self.file is None):
            raise ValueError("give either names or file")
        return self


class CardFile(Strict):
    """The keys of the TOML file."""

    task: CardTask
    scores: Scores | None = None
    values: CardValues | None = None
    output: Output | None = None
    detection: CardDetection | None = None
    preprocess: Preprocess
    labels: CardLabels


class Card(Strict):
    """A card with its labels read."""

    task: CardTask
    scores: Scores | None = None
    values: CardValues | None = None
    output: Output | None = None
    detection: CardDetection | None = None
    preprocess: Preprocess
    labels: Labels


def read_card(path: str | Path) -> Card:
    """Read a card.

    Raises:
        RecipeError: missing, not TOML, keys still to fill in, an unknown or missing key, a value out of range, a label
            file that cannot be read, a palette of another size than the names; the message names the section and key.
    """
    source = Path(path)
    try:
        tree = tomllib.loads(_text(source, source))
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{source}: is not TOML: {error}") from error
    if keys := _open_keys(tree):
        raise RecipeError(f'{source}: fill in what stands as "{OPEN}": {", ".join(keys)}')
    try:
        # By way of JSON, as a recipe: lists are tuples, whole numbers are floats, and nothing else is converted.
        card = CardFile.model_validate_json(json.dumps(tree))
    except TypeError as error:
        raise RecipeError(f"{source}: dates and times have no place in a card") from error
    except ValidationError as error:
        raise RecipeError(f"{source}: {first_problem(error, CardFile, toml=True)}") from error
    except (ValueError, RecursionError) as error:  # a hexadecimal number of thousands of digits, nested tables
        raise RecipeError(f"{source}: {error}") from error
    if doubt := pixel_scale_doubt(card.preprocess.mean, card.preprocess.std):
        tell(f"note: {source}: [preprocess] {doubt}")
    names = card.labels.names or _names(source, card.labels.file or "")
    palette = card.labels.palette
    if palette is not None and len(palette) != len(names):
        raise RecipeError(f"{source}: [labels] palette has {len(palette)} colours for {len(names)} names")
    try:
        labels = Labels(names=names, palette=palette, ignore_index=card.labels.ignore_index)
    except ValidationError as error:
        raise RecipeError(f"{source}: [labels] {first_problem(error, Labels, toml=True)}") from error
    said = card.model_dump(include={"task", "scores", "values", "output"})
    return Card(**said, detection=card.detection, preprocess=card.preprocess, labels=labels)


def _open_keys(tree: Mapping[str, Any]) -> list[str]:
    """The keys that are left to a person, in the file's order: `task`, `[preprocess] fit`."""
    keys = [key for key, value in tree.items() if value == OPEN]
    for section, value in tree.items():
        if isinstance(value, dict):
            keys += [f"[{section}] {key}" for key in _open_keys(value)]
    return keys


def _text(path: Path, card: Path) -> str:
    try:
        return read_text(path, most_bytes=MAX_CARD_BYTES, what="card or label file")
    except FileError as error:
        where = f"{card}: [labels] file = '{path.name}'" if path != card else f"{card}"
        raise RecipeError(f"{where}: {error.problem}") from error


def _names(card: Path, file: str) -> tuple[str, ...]:
    """One name per line; an empty last line is no name."""
    lines = _text(card.parent / file, card).splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines or not all(line.strip() for line in lines):
        raise RecipeError(f"{card}: [labels] file = '{file}': an empty line or no names; give one name a line")
    return tuple(line.strip() for line in lines)
