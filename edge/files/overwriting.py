"""What an output may take the place of: nothing that this product did not write there, and none of its own inputs."""

import os
from collections.abc import Collection
from pathlib import Path

from edge.errors import UsageError
from edge.files.bounded_file import exists, folder_entries, is_dir
from edge.files.leftovers import sweep


def foreign_entries(folder: Path, known: Collection[str]) -> list[str]:
    """The names in a folder that are not among `known`, sorted, once leftovers of killed processes are swept.

    Empty where there is no folder. Refuses (FileError) one that may not be read.
    """
    if not is_dir(folder):
        return []
    sweep(folder)
    return [path.name for path in folder_entries(folder) if path.name not in known]


def refuse_inputs(option: str, output: Path, *inputs: Path | str | None, folder: bool = False) -> None:
    """Refuse (UsageError) an output that is one of the inputs, by whatever name.

    Args:
        option: for the message: `--out`.
        inputs: what is no path of anything is omitted, as None is.
        folder: the output is a folder that is replaced whole: one that holds an input, or lies in one, is refused too.
    """
    place = Path(os.path.realpath(output))
    for given in inputs:
        if given is None or not exists(given):
            continue
        real = Path(os.path.realpath(given))
        if real == place or (exists(output) and output.samefile(given)):
            raise UsageError(f"{option} {output}: is the input {given} itself, which would be lost")
        if folder and real.is_relative_to(place):
            raise UsageError(f"{option} {output}: holds the input {given}, which would be lost; name a new folder")
        if folder and is_dir(real) and place.is_relative_to(real):
            raise UsageError(f"{option} {output}: lies in the input {given}; name a folder outside of it")
